//! A name is given once, also where an archive goes in parts: what S3 says at the end of an upload counts.

use std::{fs, sync::Arc};

use hookshot::store::Proof;

use crate::places::{PART_BYTES, Place, bytes, content, export, names, on, opened};
use support::servers::{Fault, Faults, Rule, S3, http::Head};

const LARGE: usize = 2 * PART_BYTES + 100_000;

/// Strikes what ends an upload in parts.
fn complete(fault: Fault) -> Rule {
    Rule::on("POST", fault).whose(|head| head.parameter("uploadId").is_some())
}

/// Between the check of the name and the end of the upload, another client takes it.
#[test]
fn a_name_that_is_taken_in_the_last_moment_is_not_taken_away_where_the_store_knows_conditions() {
    for size in [LARGE, 2 * PART_BYTES + 1] {
        let s3 = S3::start();
        let faults = Faults::in_front_of(&s3.endpoint());
        let file = s3.file("archive");
        // Of the same size: that tells nothing.
        let other = bytes(size, 9);
        let (taken, content_of) = (file.clone(), other.clone());
        let hook = Arc::new(move || fs::write(&taken, &content_of).expect("written"));
        faults.add(complete(Fault::AtRequestByte { at: 0, hook }));
        let store = opened(&s3, "", &faults.endpoint(), |_| {}, on());
        let error = export(&*store, "archive", &bytes(size, 1)).expect_err("taken");
        assert!(error.to_string().contains("already"), "{error:#}");
        assert_eq!(faults.struck(), 1);
        assert!(
            fs::read(&file).expect("a file") == other,
            "replaced or removed"
        );
        assert_eq!(Place::everything(&s3), ["archive"]);
    }
}

#[test]
fn an_upload_that_ended_without_an_answer_is_known_as_ones_own() {
    let s3 = S3::start();
    let faults = Faults::in_front_of(&s3.endpoint());
    faults.add(complete(Fault::LoseAnswer));
    // What S3 says when the name is there already.
    faults.add(complete(Fault::Answer(412)).always());
    let store = opened(&s3, "", &faults.endpoint(), |_| {}, on());
    let proof = export(&*store, "archive", &bytes(LARGE, 1)).expect("it is there");
    assert!(proof == Proof::Checksum);
    assert_eq!(faults.struck(), 2);
    assert!(content(&*store, "archive").expect("read") == bytes(LARGE, 1));
    assert_eq!(names(&*store), ["archive"]);
}

#[test]
fn a_store_that_refuses_the_condition_is_asked_without() {
    let s3 = S3::start();
    let faults = Faults::in_front_of(&s3.endpoint());
    let has_condition = |head: &Head| {
        head.parameter("uploadId").is_some() && head.header("if-none-match").is_some()
    };
    faults.add(
        Rule::on("POST", Fault::Answer(501))
            .whose(has_condition)
            .always(),
    );
    let store = opened(&s3, "", &faults.endpoint(), |_| {}, on());
    export(&*store, "archive", &bytes(LARGE, 1)).expect("it is there");
    assert_eq!(faults.struck(), 1);
    assert!(content(&*store, "archive").expect("read") == bytes(LARGE, 1));
}
