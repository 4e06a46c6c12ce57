use crate::recorded::Document;
use crate::recorded::fixtures;

/// All recorded traces.
fn recorded() -> Vec<(String, Document)> {
    let read = |(name, text): (String, String)| {
        let document = Document::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, document)
    };
    fixtures::traces().into_iter().map(read).collect()
}

fn read(name: &str, text: &str) -> Document {
    Document::parse_text(text).unwrap_or_else(|error| panic!("{}", error.render(name, text)))
}

#[test]
fn recorded_traces_become_text_and_come_back() {
    for (name, document) in recorded() {
        let json = Document::parse(&document.to_json().to_string()).unwrap();
        assert_eq!(json, document, "{name}");
        let text = document.to_text();
        let again = read(&name, &text);
        assert_eq!(again, document, "{name}");
        assert_eq!(again.to_text(), text, "{name}");
    }
}
