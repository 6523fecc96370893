//! Makes a script that shows a difference as small as it gets: fewer steps, fewer options, rounder durations.

use serde_json::Value;

use super::{scripts, values};
use crate::player::Player;
use crate::vector::{Step, Vector, duration_ms};

/// The smallest script found for which `differs` still holds.
pub(super) fn shrink(vector: Vector, mut differs: impl FnMut(&Vector) -> bool) -> Vector {
    let mut best = vector;
    // Each try costs a play on every runner; what is left after so many is small enough to read.
    let mut left = 400;
    loop {
        let smaller = candidates(&best).into_iter().find(|candidate| {
            left -= 1;
            left > 0 && is_fair(candidate) && differs(candidate)
        });
        match smaller {
            Some(smaller) => best = smaller,
            None => return best,
        }
    }
}

/// A script that the engine plays, and in which nobody's order decides.
fn is_fair(vector: &Vector) -> bool {
    // A policy has at least one strategy, which may stand beside its name and its key; a fallback has at least one answer.
    let is_bare = |strategy: &str| vector.config.get(strategy).is_some_and(|options| *options == serde_json::json!({}));
    if !vector.config.values().any(Value::is_object) || is_bare("fallback") {
        return false;
    }
    // Before its first call a policy need not be in use: a file that comes then may define it.
    let first = |is_it: fn(&Step) -> bool| vector.steps.iter().position(is_it);
    if let Some(reload) = first(|step| step.reload.is_some())
        && first(|step| step.start.is_some()).is_none_or(|start| start > reload)
    {
        return false;
    }
    let Ok(mut player) = Player::new(vector) else { return false };
    vector.steps.iter().all(|step| is_in_turn(&player, step) && player.play(step).is_ok()) && !player.raced()
}

/// A consumer asks or stops while it holds an item; its callee goes on, and its caller gives up, while it does not.
fn is_in_turn(player: &Player<'_>, step: &Step) -> bool {
    let holds = |name: &String| player.holding().contains(name);
    let held = [&step.ask, &step.stop].into_iter().flatten().all(holds);
    let waits = [&step.end, &step.cancel, &step.item].into_iter().flatten().all(|name| !holds(name));
    let yields = step.item.as_ref().is_none_or(|name| player.yielding().iter().any(|(other, _)| other == name));
    held && waits && yields
}

fn candidates(vector: &Vector) -> Vec<Vector> {
    let mut found = Vec::new();
    let mut push = |candidate: Vector| found.push(scripts::mark(candidate));
    for size in [8, 4, 2, 1] {
        for at in (0..vector.steps.len()).step_by(size).rev() {
            let mut fewer = vector.clone();
            fewer.steps.drain(at..(at + size).min(vector.steps.len()));
            if fewer.steps.len() < vector.steps.len() {
                push(fewer);
            }
        }
    }
    for (part, value) in &vector.config {
        let mut fewer = vector.clone();
        fewer.config.remove(part);
        if part == "key" {
            fewer.steps.iter_mut().for_each(|step| step.key = None);
        }
        push(fewer);
        for option in value.as_object().into_iter().flat_map(|options| options.keys()) {
            let mut fewer = vector.clone();
            if let Some(options) = fewer.config.get_mut(part).and_then(Value::as_object_mut) {
                options.remove(option);
            }
            push(fewer);
        }
    }
    details(vector, &mut push);
    found
}

/// Steps made simpler.
fn details(vector: &Vector, push: &mut impl FnMut(Vector)) {
    for (at, step) in vector.steps.iter().enumerate() {
        let mut put = |change: &dyn Fn(&mut Step)| {
            let mut simpler = vector.clone();
            change(&mut simpler.steps[at]);
            push(simpler);
        };
        if let Some(by) = step.advance.as_deref().map(duration_ms).filter(|by| *by > 1_000) {
            put(&|step| step.advance = Some(values::duration((by / 2_000).max(1) * 1_000)));
        }
        if step.status.is_some() {
            put(&|step| step.status = None);
        }
        if step.retry_after.is_some() {
            put(&|step| step.retry_after = None);
        }
        if step.attempt.is_some() {
            put(&|step| step.attempt = None);
        }
        if step.expires_in.is_some() {
            put(&|step| step.expires_in = None);
        }
    }
}
