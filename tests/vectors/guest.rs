//! The export of `wit/world.wit`. The bindings are generated here and nowhere
//! else.

#![allow(missing_docs, reason = "generated from wit/, where everything is documented")]

wit_bindgen::generate!({ path: "wit", world: "vectors" });

struct Component;
export!(Component);

impl Guest for Component {
    fn run(file: String, json: String) -> Result<String, String> {
        let report = crate::run(&file, &json)?;
        serde_json::to_string(&report).map_err(|error| error.to_string())
    }
}
