//! The scripts. Each runs as one step: nothing comes between, and after a crash of the server all of it is there or nothing.

use std::sync::LazyLock;

use redis::Script;

fn script(own: &str) -> Script {
    Script::new(&format!("{}\n{own}", include_str!("common.lua")))
}

pub(crate) static APPEND: LazyLock<Script> = LazyLock::new(|| script(include_str!("append.lua")));
pub(crate) static CHANGE: LazyLock<Script> = LazyLock::new(|| script(include_str!("change.lua")));
pub(crate) static TOKEN: LazyLock<Script> = LazyLock::new(|| script(include_str!("token.lua")));
pub(crate) static WALK: LazyLock<Script> = LazyLock::new(|| script(include_str!("walk.lua")));
pub(crate) static JOB: LazyLock<Script> = LazyLock::new(|| script(include_str!("job.lua")));
pub(crate) static READ: LazyLock<Script> = LazyLock::new(|| script(include_str!("read.lua")));
