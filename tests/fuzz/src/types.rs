//! `types` of `wit/`: see `images`.

#[derive(Clone, Debug)]
pub struct Origin {
    pub secure: bool,
    pub authority: String,
}
