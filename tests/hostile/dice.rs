//! Random calls of imports, by a seed. What is right and what is wrong are mixed so that a run gets somewhere: a wrong
//! handle or pointer ends it with a trap, and the next run is another seed.

use crate::raw::{Gives, IMPORTS, Import, KINDS, Kind, Param, area, result};

/// The archive without entries, and what it hashes to.
static EMPTY: [u8; 1024] = [0; 1024];
const DIGEST: &str = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

/// Texts that mean something to an import, or ought not to.
const TEXTS: [&str; 16] = [
    DIGEST,
    DIGEST,
    DIGEST,
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "sha512:00",
    "sha256:../../../../etc/passwd",
    "../../etc/passwd",
    "/etc/passwd",
    "default",
    "image/docker.io/library/alpine:3.20",
    "",
    "a\0b",
    "\u{1b}[31m\u{202e}",
    "127.0.0.1:1",
    "https://registry.lan/token",
    "registry.lan",
];

struct Dice {
    state: u64,
    pools: [Vec<u32>; KINDS],
    /// What the host may still read of this.
    kept: Vec<Box<[u64]>>,
    names: u64,
}

impl Dice {
    /// SplitMix64.
    fn roll(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Whether one of so many throws is meant.
    fn one_in(&mut self, many: u64) -> bool {
        self.roll() % many == 0
    }

    fn handle(&mut self, kind: Kind, given: bool) -> u64 {
        if self.one_in(200) {
            return [self.roll() % 40, self.roll() & 0xffff_ffff, 0, 0xffff_ffff][(self.roll() % 4) as usize];
        }
        let pool = if self.one_in(400) { (self.roll() % KINDS as u64) as usize } else { kind as usize };
        let roll = self.roll();
        let pool = &mut self.pools[pool];
        if pool.is_empty() {
            return roll % 8;
        }
        let at = (roll % pool.len() as u64) as usize;
        u64::from(if given { pool.swap_remove(at) } else { pool[at] })
    }

    /// Where a text begins, and its size.
    fn text(&mut self) -> [u64; 2] {
        match self.roll() % 400 {
            0 => [self.roll() & 0xffff_ffff, self.roll() & 0xffff],
            1 => [area(), 0xffff_ffff],
            2 => [b"\xff\xfe".as_ptr() as u64, 2],
            3..20 => {
                // Whatever the memory holds, as far as it is text.
                let bytes = vec![b'a'; (self.roll() % 10_000) as usize].leak();
                [bytes.as_ptr() as u64, bytes.len() as u64]
            }
            20..60 => self.name(),
            roll => {
                let text = TEXTS[(roll % 16) as usize];
                [text.as_ptr() as u64, text.len() as u64]
            }
        }
    }

    /// A text that is nobody else's.
    fn name(&mut self) -> [u64; 2] {
        self.names += 1;
        let name = format!("{:x}-{}", self.state, self.names).leak();
        [name.as_ptr() as u64, name.len() as u64]
    }

    fn large(&mut self) -> u64 {
        let roll = self.roll();
        [1024, 1024, 1024, 0, 1 << 20, roll % 2_000, u64::MAX, roll][(self.roll() % 8) as usize]
    }

    /// A list of parts in memory: 32 bytes each, the case first, and what it has from byte 8 on.
    fn parts(&mut self) -> [u64; 2] {
        let many = (self.roll() % 4) as usize;
        let mut list = vec![0u64; 4 * many.max(1)].into_boxed_slice();
        for part in list.chunks_exact_mut(4) {
            if self.pools[Kind::Blob as usize].is_empty() || self.one_in(2) {
                part[1] = EMPTY.as_ptr() as u64 | (1024 << 32);
            } else {
                part[0] = 1;
                part[1] = self.handle(Kind::Blob, false);
                (part[2], part[3]) = (self.large(), self.large());
            }
            if self.one_in(100) {
                part[0] = self.roll();
            }
        }
        let begin = list.as_ptr() as u64;
        self.kept.push(list);
        [begin, many as u64]
    }

    fn fill(&mut self, params: &[Param], numbers: &mut Vec<u64>) {
        for param in params {
            match *param {
                Param::Lent(kind) => numbers.push(self.handle(kind, false)),
                Param::Given(kind) => numbers.push(self.handle(kind, true)),
                Param::Perhaps(kind) => {
                    let some = !self.pools[kind as usize].is_empty() && self.one_in(2);
                    numbers.extend([u64::from(some), self.handle(kind, false)]);
                }
                Param::Name => numbers.extend(self.name()),
                Param::Text | Param::Bytes => numbers.extend(self.text()),
                Param::Maybe => {
                    numbers.push(if self.one_in(100) { self.roll() & 0xff } else { self.roll() % 2 });
                    numbers.extend(self.text());
                }
                Param::Parts => numbers.extend(self.parts()),
                Param::Texts => {
                    let [begin, size] = self.text();
                    let list = vec![begin | (size << 32); 2].into_boxed_slice();
                    numbers.extend([list.as_ptr() as u64, self.roll() % 3]);
                    self.kept.push(list);
                }
                Param::Case(cases) => numbers.push(if self.one_in(100) { self.roll() } else { self.roll() % cases }),
                Param::Small => numbers.push(self.roll() % 2_000),
                Param::Large => numbers.push(self.large()),
                Param::Result => numbers.push(if self.one_in(400) { self.roll() & 0xffff_ffff } else { area() }),
            }
        }
    }

    /// Whether there are the handles that an import needs.
    fn is_possible(&self, import: &Import) -> bool {
        import.params.iter().all(|param| match param {
            Param::Lent(kind) | Param::Given(kind) => !self.pools[*kind as usize].is_empty(),
            _ => true,
        })
    }

    fn take(&mut self, gives: Gives, number: u64) {
        let mut put = |kind: Kind, handle: u32| self.pools[kind as usize].push(handle);
        match gives {
            Gives::Nothing => {}
            Gives::One(kind) => put(kind, number as u32),
            Gives::Perhaps(kind) if result(0) & 0xff == 0 => put(kind, result(2)),
            Gives::Served => {
                put(Kind::Stream, result(0));
                put(Kind::Future, result(1));
            }
            Gives::Rest if result(0) & 0xff == 0 && result(4) & 0xff == 1 => put(Kind::Stream, result(5)),
            Gives::Perhaps(_) | Gives::Rest => {}
        }
    }
}

/// Makes so many calls, if nothing ends it before.
pub(crate) fn run(seed: u64, count: u64) -> Vec<String> {
    let mut dice = Dice { state: seed, pools: Default::default(), kept: Vec::new(), names: 0 };
    let mut numbers = Vec::new();
    for _ in 0..count {
        let import = loop {
            let import = &IMPORTS[(dice.roll() % IMPORTS.len() as u64) as usize];
            if dice.is_possible(import) || dice.one_in(2_000) {
                break import;
            }
        };
        numbers.clear();
        dice.fill(import.params, &mut numbers);
        let number = (import.call)(&numbers);
        // A result that went elsewhere is not in the area; then a handle is wrong, as some are.
        dice.take(import.gives, number);
    }
    vec![count.to_string()]
}
