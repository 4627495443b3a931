//! Random numbers of a seed: the same seed gives the same numbers on every
//! machine and in every version.

/// The purpose of what is drawn beside something else.
const ASIDE: u64 = 0x0a51de;

/// A generator. Two of the same seed give the same numbers.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// A generator for a seed, and for one purpose of several.
    pub fn new(seed: u64, purpose: u64) -> Self {
        let mut dice = Self(seed ^ purpose.wrapping_mul(0xd6e8_feb8_6659_fd93));
        // Seeds that are neighbours give numbers that are not.
        dice.number();
        dice
    }

    /// A generator beside this one: what is drawn from it changes nothing that is drawn from this one later, so that a
    /// choice can be added and known seeds stay what they are.
    pub fn aside(&self) -> Self {
        Self::new(self.0, ASIDE)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        // SplitMix64: the constants are the generator.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.number() % limit as u64).expect("it is below a usize")
    }

    /// Whether something happens that does so `times` in `of`.
    pub fn chance(&mut self, times: usize, of: usize) -> bool {
        self.below(of) < times
    }

    /// One of these, of which there is at least one.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
