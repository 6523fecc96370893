//! All vectors as one cargo test, so that a mutation of the engine is judged by them too (`make mutants`), and by the rows that they take.

use std::path::Path;

use seawall_testkit::{Coverage, play, vector};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

#[test]
fn every_vector_is_what_the_engine_does_and_takes_the_rows_that_the_page_says() {
    let root = Path::new(ROOT);
    let mut played = 0;
    let mut coverage = Coverage::default();
    for file in vector::files(&root.join("tests/vectors")).expect("the folder of the vectors") {
        for vector in vector::read(&file).expect("a file of vectors") {
            Coverage::begin();
            let lines = play(&vector).unwrap_or_else(|error| vec![error]);
            coverage.add(&file, &vector);
            assert_eq!(lines, vector.transcript, "{}: {}", file.display(), vector.title);
            played += 1;
        }
    }
    assert!(played > 300, "{played} vectors");
    assert_eq!(coverage.missing(), [""; 0]);
    let page = std::fs::read_to_string(root.join("docs/spec/transitions.md")).expect("the page of the rows");
    let drifted = coverage.page().lines().zip(page.lines()).find(|(taken, said)| taken != said).map(|(taken, _)| taken.to_owned());
    assert_eq!(drifted, None, "the page has drifted");
}
