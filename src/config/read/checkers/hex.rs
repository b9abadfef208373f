//! Hex strings: digit pairs, blanks between them; a single digit may end a group.

/// Bytes, and the mask where the string has wildcards.
pub(super) type Bytes = (Vec<u8>, Option<Vec<u8>>);

/// Reads groups of hex digits; `wildcards` accepts `x` for any digit. `None`: it is none.
pub(super) fn read<'a>(groups: impl Iterator<Item = &'a str>, wildcards: bool) -> Option<Bytes> {
    let mut data = Vec::new();
    let mut mask = Vec::new();
    for group in groups {
        for pair in group.as_bytes().chunks(2) {
            let (mut byte, mut bits) = (0, 0);
            for &digit in pair {
                let (value, counts) = match digit {
                    b'x' | b'X' if wildcards => (0, 0),
                    _ => ((digit as char).to_digit(16)? as u8, 0xf),
                };
                byte = byte << 4 | value;
                bits = bits << 4 | counts;
            }
            data.push(byte);
            mask.push(if pair.len() == 1 { bits | 0xf0 } else { bits });
        }
    }
    let whole = mask.iter().all(|m| *m == 0xff);
    Some((data, (!whole).then_some(mask)))
}
