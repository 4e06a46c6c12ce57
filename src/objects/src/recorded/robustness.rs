//! A document that was changed at random is refused, or read and loaded: nothing panics.

use super::fixtures::{Numbers, trace};
use super::{Document, Objects, compare, flow, places};
use serde_json::{Value as Json, json};

/// Traces of several kinds, none of them long.
const TRACES: [&str; 8] = [
    "sum_squares",
    "two_way",
    "gcd",
    "horner",
    "char_scan",
    "index_deopt",
    "method_call",
    "dict_methods",
];

/// How many documents are changed in each way.
const ROUNDS: usize = 800;

/// Everything that is done with a text before uops are compiled.
fn exercise(text: &str) -> bool {
    let Ok(document) = Document::parse(text) else {
        return false;
    };
    for executor in &document.executors {
        flow::follow(executor, &document);
    }
    // The results say what is wrong; that there are results is what counts here.
    drop(places::check(&document));
    let mut objects = Objects::new(&document);
    for index in 0..document.values.len() {
        drop(objects.get(index));
    }
    if let Ok(frame) = objects.entry_frame() {
        drop(compare(&objects, (&frame).into()));
    }
    true
}

/// A value somewhere in the document; deep ones are as likely as shallow ones.
fn somewhere<'j>(json: &'j mut Json, numbers: &mut Numbers) -> &'j mut Json {
    let is_leaf = match json {
        Json::Array(items) => items.is_empty(),
        Json::Object(fields) => fields.is_empty(),
        _ => true,
    };
    if is_leaf || numbers.below(6) == 0 {
        return json;
    }
    match json {
        Json::Array(items) => {
            let index = numbers.below(items.len());
            somewhere(&mut items[index], numbers)
        }
        Json::Object(fields) => {
            let index = numbers.below(fields.len());
            let field = fields
                .values_mut()
                .nth(index)
                .expect("an index below the length");
            somewhere(field, numbers)
        }
        _ => json,
    }
}

/// Changes one value to another of the same or of another type.
fn change(json: &mut Json, numbers: &mut Numbers) {
    let other = somewhere(json, numbers).clone();
    let small = numbers.below(40);
    let place = somewhere(json, numbers);
    match (numbers.below(8), place) {
        (0, place) => *place = json!(small),
        (1, place) => {
            let extreme = [
                json!(null),
                json!(-1),
                json!(u64::MAX),
                json!(65535),
                json!(1e300),
                json!(""),
                json!([]),
                json!({}),
            ];
            *place = extreme[numbers.below(extreme.len())].clone();
        }
        (2, Json::Array(items)) if !items.is_empty() => drop(items.remove(small % items.len())),
        (3, Json::Array(items)) if items.len() > 1 => {
            let last = items.len() - 1;
            items.swap(small % last, last);
        }
        (4, Json::Object(fields)) => {
            let name = fields.keys().nth(small % fields.len().max(1)).cloned();
            name.map(|name| fields.remove(&name));
        }
        (5, Json::Array(items)) => items.push(other),
        (_, place @ Json::Number(_)) => *place = json!(small),
        (_, place) => *place = other,
    }
}

fn documents() -> Vec<Json> {
    let read = |name: &&str| serde_json::from_str(&trace(name)).unwrap();
    TRACES.iter().map(read).collect()
}

#[test]
fn changed_documents() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let documents = documents();
    let mut good = 0;
    for _ in 0..ROUNDS {
        let mut json = documents[numbers.below(documents.len())].clone();
        for _ in 0..=numbers.below(2) {
            change(&mut json, &mut numbers);
        }
        good += usize::from(exercise(&json.to_string()));
    }
    // Both ways are tried.
    assert!(
        (ROUNDS / 12..ROUNDS - ROUNDS / 12).contains(&good),
        "{good} of {ROUNDS} are good"
    );
}

/// Uops and opargs are where a wrong document is most likely to be believed.
#[test]
fn changed_uops() {
    let mut numbers = Numbers(0x0123_4567_89ab_cdef);
    let documents = documents();
    let mut good = 0;
    for _ in 0..ROUNDS {
        let mut json = documents[numbers.below(documents.len())].clone();
        let executors = json["executors"].as_array_mut().unwrap();
        let number = numbers.below(executors.len());
        let uops = executors[number]["uops"].as_array_mut().unwrap();
        let (from, to) = (numbers.below(uops.len()), numbers.below(uops.len()));
        match numbers.below(4) {
            0 => uops.swap(from, to),
            1 => uops[to] = uops[from].clone(),
            2 => uops[to]["oparg"] = json!(numbers.below(12)),
            _ => uops[to]["op"] = uops[from]["op"].clone(),
        }
        good += usize::from(exercise(&json.to_string()));
    }
    assert!(
        (ROUNDS / 12..ROUNDS - ROUNDS / 12).contains(&good),
        "{good} of {ROUNDS} are good"
    );
}

#[test]
fn changed_text() {
    let mut numbers = Numbers(0xfeed_f00d_dead_beef);
    for name in TRACES {
        let text = trace(name);
        for _ in 0..60 {
            let mut bytes = text.clone().into_bytes();
            match numbers.below(3) {
                0 => bytes.truncate(numbers.below(text.len())),
                1 => bytes[numbers.below(text.len())] = b"0129-\"[]{},:.e "[numbers.below(15)],
                _ => drop(bytes.remove(numbers.below(text.len()))),
            }
            exercise(&String::from_utf8_lossy(&bytes));
        }
    }
}
