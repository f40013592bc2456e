//! The results as a table.

use super::report::{Block, Report};
use super::units;

/// Returns the lines about the machine and the floor.
pub fn head(report: &Report) -> String {
    let time = |nanos| units::time(nanos as f64);
    format!(
        "{}\ntwo processes, {}\nfloor: round trip of a cache line in {} (p50), {} (p99)",
        report.machine_line(),
        report.place_line(),
        time(report.floor.p50),
        time(report.floor.p99),
    )
}

/// The meaning of the columns.
pub const LEGEND: &str = "\
p50 to max: round trip; messages/s, GB/s: one way. × shared memory: how many times
as long a round trip takes (p50), and how many times fewer messages arrive.";

/// The width of a row.
const WIDTH: usize = 78;

/// Returns the table of one size, with a row for each transport.
pub fn block(block: &Block) -> String {
    let title = units::size(block.size);
    let mut lines = vec![
        format!("{:>WIDTH$}", "× shared memory"),
        row([
            &title,
            "p50",
            "p99",
            "p99.9",
            "max",
            "messages/s",
            "GB/s",
            "trip",
            "flow",
        ]),
    ];

    for found in &block.rows {
        let (trips, ratios) = (found.trips, block.ratios(found));
        let time = |nanos| units::time(nanos as f64);
        lines.push(row([
            found.transport.name(),
            &time(trips.p50),
            &time(trips.p99),
            &time(trips.p99_9),
            &time(trips.max),
            &units::rate(found.flow.messages_per_s()),
            &units::plain(block.gigabytes_per_s(found)),
            &units::plain(ratios.trip),
            &units::plain(ratios.flow),
        ]));
    }

    lines.join("\n")
}

fn row(cells: [&str; 9]) -> String {
    let [name, p50, p99, p99_9, max, messages, gigabytes, trip, flow] = cells;
    let line = format!(
        "{name:<14} {p50:>7} {p99:>7} {p99_9:>7} {max:>7} {messages:>10} {gigabytes:>6} {trip:>6} {flow:>6}"
    );
    line.trim_end().to_string()
}
