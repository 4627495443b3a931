//! The export of `wit/world.wit`. The bindings are generated here and nowhere
//! else.

#![allow(missing_docs, unreachable_pub, reason = "generated from wit/, where everything is documented")]

wit_bindgen::generate!({ path: ["../../wit", "wit"], world: "wharf:hostile/hostile", generate_all });

struct Component;
export!(Component);

impl Guest for Component {
    async fn attack(name: String, words: Vec<String>, count: u64) -> Vec<String> {
        match crate::attacks::run(&name, &words, count).await {
            Some(outcome) => outcome,
            None => crate::raw::run(&name, &words, count),
        }
    }
}
