//! The signals of Linux, by number and by name, as STOPSIGNAL takes them.

/// Those that have a name of their own, besides the real-time ones.
const NAMES: [&str; 37] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL",
    "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1",
    "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "UNUSED", "RTMIN", "RTMAX",
];
/// The highest number.
const NUMBER_MAX: u8 = 64;
/// How far real-time signals reach from their ends, in docker's table.
const REAL_TIME_MAX: u8 = 15;

/// Whether there is such a signal, as in `9`, `KILL` or `SIGRTMIN+3`.
pub(super) fn is_signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<u8>() {
        return (1..=NUMBER_MAX).contains(&number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |offset: &str, most: u8| {
        offset.bytes().all(|byte| byte.is_ascii_digit())
            && offset.parse::<u8>().is_ok_and(|offset| (1..=most).contains(&offset))
    };
    NAMES.contains(&name)
        || name.strip_prefix("RTMIN+").is_some_and(|rest| offset(rest, REAL_TIME_MAX))
        || name.strip_prefix("RTMAX-").is_some_and(|rest| offset(rest, REAL_TIME_MAX - 1))
}
