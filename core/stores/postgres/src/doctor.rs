//! What somebody should see to before letters depend on it.

use seawall_dlq::Finding;

use crate::address::Address;
use crate::connection::Connection;
use crate::fault::Fault;

/// Settings of the server without which what it acknowledged may be gone after a crash.
const DURABLE: [(&str, &str); 2] = [
    ("fsync", "a crash of the server's machine may lose what it acknowledged, or all of the database; set it on"),
    ("full_page_writes", "a crash of the server's machine may leave broken pages; set it on"),
];

pub(crate) fn look(db: &mut Connection, address: &Address) -> Result<Vec<Finding>, Fault> {
    let mut found = Vec::new();
    for (setting, message) in DURABLE {
        let value: Option<String> =
            db.row("SELECT current_setting($1, true)", &[&setting])?.map(|row| row.try_get(0)).transpose()?.flatten();
        if value.as_deref() == Some("off") {
            found.push(Finding { place: format!("{setting} on {}", address.place()), message: message.into() });
        }
    }
    let standby: Option<bool> = db.row("SELECT pg_is_in_recovery()", &[])?.map(|row| row.try_get(0)).transpose()?;
    if standby == Some(true) {
        found.push(Finding {
            place: address.place().to_owned(),
            message: "it is a standby, which takes no letters; name the primary".into(),
        });
    }
    Ok(found)
}
