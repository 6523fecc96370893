//! Random scripts: each step is chosen with an eye on what is open, so that most of them do something.

use serde_json::Value;

use super::dice::Dice;
use super::{policies, values};
use crate::player::Player;
use crate::vector::{Step, Vector, duration_ms};

/// The most calls of a script that is no crowd.
const CALLS: usize = 14;
const KEYS: &[&str] = &["x", "y"];

/// The script of this number. `Err` carries a policy that the engine refuses, which every language must refuse too.
pub(super) fn script(seed: u64, number: u64) -> Result<Vector, Vector> {
    let mut dice = Dice::new(seed, number);
    // A crowd: many calls, most of which succeed, beneath a limit that adapts.
    let is_crowd = dice.percent(4);
    let draw = |dice: &mut Dice| {
        let mut config = policies::config(dice);
        if is_crowd {
            policies::adapt(&mut config, dice);
        }
        config
    };
    let mut vector = Vector {
        title: format!("script {number} of seed {seed}"),
        config: draw(&mut dice),
        seed: dice.roll(1 << 30) as u64,
        cooperative: false,
        stream: !is_crowd && dice.percent(15),
        abandons: false,
        steps: Vec::new(),
        transcript: Vec::new(),
    };
    // Most policies are to be valid; a contradiction now and then is welcome.
    while Player::new(&vector).is_err() {
        if dice.percent(20) {
            return Err(vector);
        }
        vector.config = draw(&mut dice);
    }
    vector.cooperative = !["timeout", "hedge"].iter().any(|part| vector.config.contains_key(*part)) && dice.percent(30);
    let wanted = if is_crowd { 60 + dice.roll(40) } else { 4 + dice.roll(24) };
    let times = times(&vector);
    let blank = vector.clone();
    let Ok(mut player) = Player::new(&blank) else { return Err(vector) };
    while vector.steps.len() < wanted {
        let step = next(&vector, &player, &times, is_crowd, &mut dice);
        if player.play(&step).is_err() || player.raced() {
            // Two calls that run at once while one moves the time may end in either order: no vector. The player is past it, so stop here.
            break;
        }
        vector.steps.push(step);
    }
    Ok(mark(vector))
}

/// Marks a vector whose work outlives its call in a way that asyncio never has: a cut callee keeps a slot. A cooperative one has no such work.
pub(super) fn mark(mut vector: Vector) -> Vector {
    let cut = run(&vector).is_some_and(|player_cut| player_cut);
    vector.abandons = cut && vector.config.contains_key("bulkhead");
    vector.cooperative &= !vector.abandons;
    vector
}

fn run(vector: &Vector) -> Option<bool> {
    let mut player = Player::new(vector).ok()?;
    vector.steps.iter().try_for_each(|step| player.play(step)).ok()?;
    Some(player.cut())
}

/// Every duration of the policy, where its edges lie, and some others.
fn times(vector: &Vector) -> Vec<u64> {
    let mut times = values::DURATIONS_MS.to_vec();
    for text in vector.config.values().filter_map(Value::as_object).flat_map(|options| options.values()).filter_map(Value::as_str) {
        let is_duration =
            text.starts_with(|c: char| c.is_ascii_digit()) && text.ends_with(['s', 'm', 'h']) && !text.contains(['/', '.', ' ']);
        if is_duration {
            let ms = duration_ms(text);
            // Thrice, so that the policy's own times are met often.
            (0..3).for_each(|_| times.extend([ms.saturating_sub(1), ms, ms + 1]));
        }
    }
    times
}

fn next(vector: &Vector, player: &Player<'_>, times: &[u64], is_crowd: bool, dice: &mut Dice) -> Step {
    let started = vector.steps.iter().filter(|step| step.start.is_some()).count();
    let (open, live, yielding, holding) = (player.open(), player.live(), player.yielding(), player.holding());
    let key = || vector.config.contains_key("key");
    let most_calls = if is_crowd { values::MOST_CALLS } else { CALLS };
    loop {
        match dice.roll(100) {
            0..20 if !holding.is_empty() => return go_on(dice.pick(&holding).clone(), dice),
            0..25 if !yielding.is_empty() => return item(dice.pick(&yielding), player, dice),
            0..45 if !open.is_empty() && is_crowd && dice.percent(80) => {
                let (name, attempt) = dice.pick(&open).clone();
                return Step { end: Some(name), attempt: Some(attempt), value: Some(Value::from("ok")), ..Step::default() };
            }
            0..45 if !open.is_empty() => return end(vector, dice.pick(&open), player, dice),
            45..75 if started < most_calls => {
                let key = key().then(|| (*dice.pick(KEYS)).to_owned());
                return Step { start: Some(values::call(started)), key, ..Step::default() };
            }
            75..90 => return Step { advance: Some(values::duration(*dice.pick(times))), ..Step::default() },
            90..94 if !live.is_empty() => return Step { cancel: Some(dice.pick(&live).clone()), ..Step::default() },
            // Before its first call a policy need not be in use: a file that comes then may define it.
            94..96 if vector.config.contains_key("name") && started > 0 => {
                return Step { reload: Some(policies::reload(&vector.config, dice)), ..Step::default() };
            }
            96 => return mode(dice),
            97..100 if vector.config.contains_key("circuit_breaker") => {
                let key = key().then(|| (*dice.pick(KEYS)).to_owned());
                return admin(key, dice);
            }
            _ => {}
        }
    }
}

/// What the consumer of a stream does that holds an item.
fn go_on(name: String, dice: &mut Dice) -> Step {
    if dice.percent(70) { Step { ask: Some(name), ..Step::default() } } else { Step { stop: Some(name), ..Step::default() } }
}

fn item((name, attempt): &(String, u32), player: &Player<'_>, dice: &mut Dice) -> Step {
    let attempt = is_earlier(name, *attempt, player).then_some(*attempt);
    Step { item: Some(name.clone()), attempt, hold: dice.percent(40).then_some(true), ..Step::default() }
}

/// Whether a later attempt of the call is open too.
fn is_earlier(name: &str, attempt: u32, player: &Player<'_>) -> bool {
    player.open().iter().any(|(other, number)| other == name && *number > attempt)
}

fn mode(dice: &mut Dice) -> Step {
    let mode = (*dice.pick(values::MODES)).to_owned();
    let expires_in = dice.percent(50).then(|| values::duration((*dice.pick(values::DURATIONS_MS)).max(1)));
    Step { admin: Some("mode".into()), mode: Some(mode), reason: Some("drill".into()), expires_in, ..Step::default() }
}

fn admin(key: Option<String>, dice: &mut Dice) -> Step {
    let verb = *dice.pick(&["isolate", "disable", "reset"]);
    let expires_in = (verb != "reset" && dice.percent(50)).then(|| values::duration((*dice.pick(values::DURATIONS_MS)).max(1)));
    let reason = (verb != "reset").then(|| "drill".to_owned());
    Step { admin: Some(verb.to_owned()), key, reason, expires_in, ..Step::default() }
}

fn end(vector: &Vector, (name, attempt): &(String, u32), player: &Player<'_>, dice: &mut Dice) -> Step {
    // The number is written where it is not the latest.
    let later = is_earlier(name, *attempt, player) || dice.percent(10);
    let mut step = Step { end: Some(name.clone()), attempt: later.then_some(*attempt), ..Step::default() };
    // Results that the policy rejects come often where it rejects any.
    let rejected: Vec<&Value> = vector.config.values().filter_map(|options| options.get("on_result")?.get(0)).collect();
    // A stream ends without a value.
    if vector.stream && dice.percent(50) {
        return step;
    }
    if !vector.stream && !rejected.is_empty() && dice.percent(30) {
        step.value = Some((*dice.pick(&rejected)).clone());
        return step;
    }
    if !vector.stream && dice.percent(30) {
        step.value = Some(dice.pick(&values::results()).clone());
        return step;
    }
    if dice.percent(5) {
        step.programming = Some(true);
        return step;
    }
    step.error = Some((*dice.pick(&["boom", "boom", "boom", "known", "other"])).to_owned());
    if dice.percent(25) {
        step.status = Some(*dice.pick(&[400, 404, 408, 425, 429, 429, 500, 503, 503, 499]));
    }
    if dice.percent(20) {
        step.retry_after = Some((*dice.pick(&["never", "0ms", "50ms", "2s", "10s", "60s", "61s", "1s500ms"])).to_owned());
    }
    step
}
