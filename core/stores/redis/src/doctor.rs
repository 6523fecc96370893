//! What somebody should see to before letters depend on it.

use seawall_dlq::Finding;

use crate::address::Address;
use crate::connection::Link;
use crate::fault::Fault;

/// Settings without which what is acknowledged may be gone after a crash, what they should be, and why.
const DURABLE: [(&str, &str, &str); 3] = [
    ("appendonly", "yes", "a crash of the server loses all since its last snapshot"),
    ("appendfsync", "always", "a crash of the server's machine loses what was acknowledged within its last second, or more"),
    ("maxmemory-policy", "noeviction", "the server removes letters, or parts of them, when its memory is full"),
];

pub(crate) fn look(link: &mut Link, address: &Address) -> Result<Vec<Finding>, Fault> {
    let mut found = Vec::new();
    for (setting, wanted, message) in DURABLE {
        let place = format!("{setting} on {}", address.place());
        match link.ask::<Vec<String>>(redis::cmd("CONFIG").arg("GET").arg(setting)) {
            Ok(pair) if pair.get(1).is_some_and(|value| value == wanted) => {}
            // Keys of ours have no time to live.
            Ok(pair) if pair.get(1).is_some_and(|value| value.starts_with("volatile-")) => {}
            Ok(pair) => {
                let value = pair.into_iter().nth(1).unwrap_or_default();
                found.push(Finding { place, message: format!("it is '{value}': {message}; '{wanted}' would be right") });
            }
            Err(fault) if fault.broken => return Err(fault),
            Err(_) => found.push(Finding {
                place,
                message: format!("the server does not tell it; make sure that it is '{wanted}': otherwise {message}"),
            }),
        }
    }
    Ok(found)
}
