//! The committed contract code is what the proto files say. `WEFT_WRITE=1 cargo test --test contract` writes it anew.

use std::path::Path;

#[test]
fn generated_code_matches_the_proto_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto");
    let mut files: Vec<_> = std::fs::read_dir(root.join("weft/v1"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let descriptors = protox::compile(&files, [&root]).expect("the proto files compile");
    let out = std::env::temp_dir().join(format!("weft-contract-{}", std::process::id()));
    std::fs::create_dir_all(&out).unwrap();
    prost_build::Config::new()
        .bytes(["."])
        .out_dir(&out)
        .compile_fds(descriptors)
        .expect("code is generated");
    let generated = std::fs::read_to_string(out.join("weft.v1.rs")).unwrap();
    std::fs::remove_dir_all(&out).unwrap();
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/proto/weft.v1.rs");
    if std::env::var_os("WEFT_WRITE").is_some() {
        std::fs::write(&committed, &generated).unwrap();
    }
    assert!(
        std::fs::read_to_string(&committed).unwrap() == generated,
        "run: WEFT_WRITE=1 cargo test --test contract"
    );
}
