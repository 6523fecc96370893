//! The adapters behind features, each against the traits that it adapts to.

mod support;

#[cfg(feature = "tower")]
mod tower {
    use std::future::{Future, Ready, ready};
    use std::task::{Context, Poll};

    use seawall::tower::PolicyLayer;
    use seawall::{CircuitBreaker, Error, Retry, policy, testing};
    use tower_layer::Layer;
    use tower_service::Service;

    use crate::support::{Down, Task};

    /// Fails until it was called so often; clones share nothing, as those of a client for one connection each.
    #[derive(Clone)]
    struct Flaky {
        fails: fn(u32) -> bool,
        ready: bool,
    }

    impl Service<u32> for Flaky {
        type Response = u32;
        type Error = Down;
        type Future = Ready<Result<u32, Down>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Down>> {
            self.ready = true;
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: u32) -> Self::Future {
            assert!(std::mem::take(&mut self.ready), "a service is called only when it is ready");
            ready(if (self.fails)(request) { Err(Down("down")) } else { Ok(request + 1) })
        }
    }

    #[test]
    fn a_layer_guards_every_request() {
        let clock = testing::clock(0);
        let policy = policy("layer")
            .retry(Retry::new().max_attempts(2))
            .circuit_breaker(CircuitBreaker::new().consecutive_failures(2))
            .build()
            .expect("valid");
        let mut service = PolicyLayer::new(policy.clone()).layer(Flaky { fails: |request| request > 9, ready: false });
        assert!(Task::new(std::future::poll_fn(|context| service.poll_ready(context))).done().is_ok());
        assert_eq!(Task::new(service.call(1)).done().ok(), Some(2));
        let failed = Task::new(service.call(10)).done().expect_err("it fails twice");
        assert_eq!(failed.into_callee(), Some(Down("down")));
        assert_eq!(clock.sleeps().len(), 1);
        assert_eq!(policy.breaker().state(), Ok("open"));
        assert_eq!(Task::new(service.call(1)).done().expect_err("open").code(), Some("circuit.open"));
    }

    #[test]
    fn its_futures_go_where_an_executor_takes_them() {
        fn spawned<F: Future + Send + 'static>(future: F) -> F {
            future
        }
        let _clock = testing::clock(0);
        let policy = policy("spawned").retry(Retry::new()).build().expect("valid");
        let mut service = PolicyLayer::new(policy).layer(Flaky { fails: |_| false, ready: false });
        let answer: Result<u32, Error<Down>> = Task::new(spawned(service.call(1))).done();
        assert_eq!(answer.ok(), Some(2));
    }
}

#[cfg(feature = "tracing")]
mod tracing {
    use std::sync::{Arc, Mutex};

    use seawall::{CircuitBreaker, policy, testing};
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    use crate::support::Down;

    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<Vec<String>>>);

    struct Fields(Vec<String>);

    impl Visit for Fields {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            if field.name() != "record" {
                self.0.push(format!("{}={value:?}", field.name()));
            }
        }
    }

    impl Subscriber for Seen {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == "seawall"
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            let mut fields = Fields(vec![event.metadata().level().to_string()]);
            event.record(&mut fields);
            self.0.lock().expect("unpoisoned").push(fields.0.join(" "));
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn every_event_reaches_the_subscriber() {
        let _clock = testing::clock(0);
        let seen = Seen::default();
        let policy = policy("traced").circuit_breaker(CircuitBreaker::new().consecutive_failures(1)).build().expect("valid");
        tracing::subscriber::with_default(seen.clone(), || {
            let _ = policy.using().correlation_id("order-7").call(|| Err::<(), _>(Down("down")));
        });
        let lines = seen.0.lock().expect("unpoisoned").clone();
        let opened: Vec<_> = lines.iter().filter(|line| line.contains("breaker.opened")).collect();
        assert_eq!(opened, ["WARN event=\"breaker.opened\" policy=\"traced\" correlation_id=\"order-7\""]);
    }
}

#[cfg(feature = "metrics")]
mod metrics {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Mutex};

    use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
    use seawall::{CircuitBreaker, policy, testing};

    use crate::support::Down;

    #[derive(Default)]
    struct Kept(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

    impl Kept {
        fn word(&self, key: &Key) -> Arc<AtomicU64> {
            let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
            let name = format!("{}{{{}}}", key.name(), labels.join(","));
            Arc::clone(self.0.lock().expect("unpoisoned").entry(name).or_default())
        }

        fn read(&self, name: &str) -> Option<u64> {
            self.0.lock().expect("unpoisoned").get(name).map(|word| word.load(Ordering::Relaxed))
        }
    }

    impl Recorder for Kept {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(self.word(key))
        }

        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::from_arc(self.word(key))
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    #[test]
    fn the_recorder_gets_what_was_counted() {
        let _clock = testing::clock(0);
        let policy = policy("counted").circuit_breaker(CircuitBreaker::new().consecutive_failures(1)).build().expect("valid");
        let _ = policy.call(|| Ok::<_, Down>(()));
        let _ = policy.call(|| Err::<(), _>(Down("down")));
        let _ = policy.call(|| Err::<(), _>(Down("down")));
        let kept = Kept::default();
        metrics::with_local_recorder(&kept, || {
            seawall::metrics::publish();
            seawall::metrics::publish();
        });
        for (name, value) in [
            ("seawall_calls_total{lang=rust,outcome=success,policy=counted}", 1),
            ("seawall_calls_total{lang=rust,outcome=failure,policy=counted}", 1),
            ("seawall_calls_total{lang=rust,outcome=rejected,policy=counted,reason=breaker_open}", 1),
            ("seawall_breaker_transitions_total{from=closed,lang=rust,policy=counted,to=open}", 1),
            ("seawall_breaker_state{lang=rust,policy=counted,state=open}", 1.0f64.to_bits()),
        ] {
            assert_eq!(kept.read(name), Some(value), "{name}");
        }
    }
}
