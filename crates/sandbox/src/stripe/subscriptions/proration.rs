//! What a change in the middle of a period costs: unused time of the old items back, the rest of the period of the new ones.

use serde_json::Value;

use super::super::{
    invoices::make::line,
    store::Books,
    value::{int, text},
};
use super::items;

/// The lines of a change at `at` from some items to others.
pub(super) fn lines(books: &Books, before: &[Value], after: &[Value], at: i64) -> Vec<Value> {
    let is_in = |all: &[Value], item: &Value| {
        let same = |it: &Value| {
            text(it, "id") == text(item, "id")
                && it["quantity"] == item["quantity"]
                && it["price"]["id"] == item["price"]["id"]
        };
        all.iter().any(same)
    };
    let gone = before.iter().filter(|it| !is_in(after, it)).map(|it| (it, -1, "Unused time on"));
    let come = after.iter().filter(|it| !is_in(before, it)).map(|it| (it, 1, "Remaining time on"));
    gone.chain(come).filter_map(|(item, sign, words)| one(books, item, sign, words, at)).collect()
}

fn one(books: &Books, item: &Value, sign: i64, words: &str, at: i64) -> Option<Value> {
    let (start, end) = (int(item, "current_period_start"), int(item, "current_period_end"));
    let amount = sign * part(items::amount(item), end - at, end - start)?;
    let name = books.find(text(&item["price"], "product")).map(|it| text(it, "name").to_owned());
    let after = super::super::time::shown(at);
    let description =
        format!("{words} {} × {} after {after}", int(item, "quantity"), name.unwrap_or_default());
    let mut line = line(item, amount, (at, end), &description);
    line["parent"]["subscription_item_details"]["proration"] = true.into();
    Some(line)
}

/// The part of an amount for so many of all seconds, rounded half up; none if there are none left.
fn part(amount: i64, left: i64, whole: i64) -> Option<i64> {
    if left <= 0 || whole <= 0 {
        return None;
    }
    let exact = i128::from(amount) * i128::from(left.min(whole));
    i64::try_from((exact * 2 + i128::from(whole)) / (i128::from(whole) * 2)).ok()
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn a_part_of_an_amount_is_rounded_and_never_more_than_the_whole() {
        assert_eq!(part(1_000, 15, 30), Some(500));
        assert_eq!(part(499, 1, 2), Some(250));
        assert_eq!(part(499, 40, 30), Some(499));
        assert_eq!(part(499, 0, 30), None);
    }
}
