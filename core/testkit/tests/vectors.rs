//! All vectors as one cargo test, so that a mutation of the engine is judged by them too (`make mutants`).

use std::path::Path;

use seawall_testkit::{play, vector};

#[test]
fn every_vector_is_what_the_engine_does() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors"));
    let mut played = 0;
    for file in vector::files(folder).expect("the folder of the vectors") {
        for vector in vector::read(&file).expect("a file of vectors") {
            let lines = play(&vector).unwrap_or_else(|error| vec![error]);
            assert_eq!(lines, vector.transcript, "{}: {}", file.display(), vector.title);
            played += 1;
        }
    }
    assert!(played > 300, "{played} vectors");
}
