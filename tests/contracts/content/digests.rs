//! How digests are written, and that hashes are those of the standard.

use wharf::hash::{Algorithm, Digest, DigestError, Hasher};

#[test]
fn digests_are_read_strictly() {
    let (short, long) = ("0123456789abcdef".repeat(4), "0123456789abcdef".repeat(8));
    for text in [format!("sha256:{short}"), format!("sha512:{long}")] {
        let digest = text.parse::<Digest>().expect("a digest");
        assert_eq!((digest.to_string(), format!("{digest:?}")), (text.clone(), text));
    }
    use DigestError::{Malformed, Unsupported};
    for (text, expected) in [
        ("".to_string(), Malformed),
        ("sha256".to_string(), Malformed),
        ("sha256:".to_string(), Malformed),
        (short.clone(), Malformed),
        (format!("sha256:{long}"), Malformed),
        (format!("sha512:{short}"), Malformed),
        (format!("sha256:{}", &short[1..]), Malformed),
        (format!("sha256:{short}0"), Malformed),
        (format!("sha256:{}", short.to_uppercase()), Malformed),
        (format!("sha256:{}g", &short[1..]), Malformed),
        (format!("sha256:{}\u{e9}", &short[2..]), Malformed),
        (format!("sha256: {}", &short[1..]), Malformed),
        (format!("sha256:../../{}", &short[6..]), Malformed),
        (format!("sha256::{}", &short[1..]), Malformed),
        (format!("SHA256:{short}"), Unsupported),
        (format!(":{short}"), Unsupported),
        (format!("sha1:{}", &short[..40]), Unsupported),
        (format!("md5:{}", &short[..32]), Unsupported),
        (format!("sha384:{}", &long[..96]), Unsupported),
        (format!("../sha256:{short}"), Unsupported),
    ] {
        assert_eq!(text.parse::<Digest>(), Err(expected), "{text}");
    }
}

/// Expectations: FIPS 180-4, the examples of NIST's Cryptographic Standards and Guidelines.
#[test]
fn hashes_are_those_of_the_standard() {
    const ABC_256: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const ABC_512: &str = "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                           2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
    const EMPTY_256: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const EMPTY_512: &str = "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce\
                             47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e";
    for (algorithm, text, expected) in [
        (Algorithm::Sha256, "abc", ABC_256),
        (Algorithm::Sha512, "abc", ABC_512),
        (Algorithm::Sha256, "", EMPTY_256),
        (Algorithm::Sha512, "", EMPTY_512),
    ] {
        let mut hasher = Hasher::new(algorithm);
        for byte in text.bytes() {
            hasher.update(&[byte]);
        }
        assert_eq!(hasher.finish().to_string(), expected);
        assert_eq!(Digest::of(algorithm, text.as_bytes()).to_string(), expected);
    }
}
