//! The results as a plot: round trips and streams by the size of the messages.

use super::plan::Transport;
use super::report::{Block, Report, Row};
use super::units;
use crate::{Failure, Outcome};
use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

const SIZE: (u32, u32) = (1200, 590);
const HEAD: i32 = 120;
const FONT: &str = "sans-serif";
const DARK: RGBColor = RGBColor(51, 51, 51);
const LIGHT: RGBColor = RGBColor(224, 224, 224);
const FLOOR: &str = "floor: round trip of a cache line";
/// The width of the key of a line, and the approximate width of a letter of its name.
const KEY: i32 = 40;
const LETTER: i32 = 8;
/// The number of sizes for which there is space below a panel.
const MAX_LABELS: f64 = 8.0;
/// The length of a dash, and of the gap behind it.
const DASH: (u32, u32) = (7, 5);

/// Returns the colour of a transport. People with a colour vision deficiency can tell these colours
/// apart too (Okabe and Ito).
fn colour(transport: Transport) -> RGBColor {
    match transport {
        Transport::SharedMemory => RGBColor(0, 114, 178),
        Transport::Pipe => RGBColor(230, 159, 0),
        Transport::Local => RGBColor(0, 158, 115),
        Transport::Tcp => RGBColor(204, 121, 167),
    }
}

/// Checks that the file of the plot can be written, before the benchmark begins.
pub fn expect_writable(path: &Path) -> Outcome {
    let is_new = OpenOptions::new().write(true).create_new(true).open(path);
    let opened = match is_new {
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            OpenOptions::new().write(true).open(path).map(drop)
        }
        Err(error) => Err(error),
    };
    opened.map_err(|error| cannot_write(path, &error))
}

pub fn write(report: &Report, path: &Path) -> Outcome {
    let mut text = String::new();
    draw(report, &mut text).map_err(Failure::other)?;
    fs::write(path, text).map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Other(format!("cannot write {}: {error}", path.display()))
}

fn draw(report: &Report, text: &mut String) -> Drawn {
    let canvas = SVGBackend::with_string(text, SIZE).into_drawing_area();
    canvas.fill(&WHITE)?;
    let (head, panels) = canvas.split_vertically(HEAD);
    draw_head(&head, report)?;
    let (left, right) = panels.split_horizontally(SIZE.0 / 2);

    let trips = Panel {
        title: "Round trip, median",
        unit: "time there and back",
        value: |_, row| row.trips.p50 as f64,
        label: |nanos| units::time(*nanos),
        floor: Some(report.floor.p50 as f64),
    };
    trips.draw(&left, &report.blocks)?;

    let flow = Panel {
        title: "One way, throughput",
        unit: "GB/s",
        value: Block::gigabytes_per_s,
        label: |gigabytes| units::power(*gigabytes),
        floor: None,
    };
    flow.draw(&right, &report.blocks)?;

    Ok(canvas.present()?)
}

fn font(size: u32) -> TextStyle<'static> {
    (FONT, size).into_font().color(&DARK)
}

/// Draws what was measured, and the key of the lines.
fn draw_head(area: &Canvas, report: &Report) -> Drawn {
    area.draw_text("Messages between two processes", &font(26), (20, 12))?;
    area.draw_text(&report.machine_line(), &font(17), (20, 42))?;
    let place = format!("two processes, {}", report.place_line());
    area.draw_text(&place, &font(17), (20, 62))?;

    let text = font(18).pos(Pos::new(HPos::Left, VPos::Center));
    let (mut left, middle) = (20, 102);
    for transport in Transport::ALL {
        let line = [(left, middle), (left + KEY, middle)];
        area.draw(&PathElement::new(line, stroke(transport)))?;
        area.draw(&marker(transport, (left + KEY / 2, middle)))?;
        area.draw_text(transport.name(), &text, (left + KEY + 8, middle))?;
        left += KEY + 34 + LETTER * transport.name().len() as i32;
    }

    let line = [(left, middle), (left + KEY, middle)];
    area.draw(&DashedPathElement::new(line, DASH.0, DASH.1, dark_line()))?;
    area.draw_text(FLOOR, &text, (left + KEY + 8, middle))?;
    Ok(())
}

/// One of the two halves: a value of all transports by the size of the messages.
struct Panel {
    title: &'static str,
    unit: &'static str,
    value: fn(&Block, &Row) -> f64,
    label: fn(&f64) -> String,
    floor: Option<f64>,
}

impl Panel {
    fn draw(&self, area: &Canvas, blocks: &[Block]) -> Drawn {
        let sizes: Vec<f64> = blocks.iter().map(|block| block.size as f64).collect();
        let all = blocks.iter().flat_map(|block| {
            let rows = block.rows.iter();
            rows.map(|row| (self.value)(block, row))
        });
        let (x, y) = (around(&sizes), decades(all.chain(self.floor)));

        let mut chart = ChartBuilder::on(area)
            .caption(self.title, font(21))
            .margin(14)
            .margin_right(30)
            .x_label_area_size(52)
            .y_label_area_size(86)
            .build_cartesian_2d(
                x.clone().log_scale().with_key_points(apart(&sizes, &x)),
                y.clone().log_scale().with_key_points(powers(&y)),
            )?;

        chart
            .configure_mesh()
            .bold_line_style(LIGHT)
            .light_line_style(TRANSPARENT)
            .axis_style(DARK)
            .label_style(font(17))
            .axis_desc_style(font(18))
            .x_desc("size of a message")
            .x_label_formatter(&|bytes| units::size(*bytes as u64))
            .y_desc(self.unit)
            .y_label_formatter(&self.label)
            .draw()?;

        if let Some(floor) = self.floor {
            let line = [(x.start, floor), (x.end, floor)];
            let dashes = DashedLineSeries::new(line, DASH.0, DASH.1, dark_line());
            chart.draw_series(dashes)?;
        }

        // The first transport is drawn last, on top of the others.
        for (nth, transport) in Transport::ALL.into_iter().enumerate().rev() {
            let point = |block: &Block| (block.size as f64, (self.value)(block, &block.rows[nth]));
            let points: Vec<(f64, f64)> = blocks.iter().map(point).collect();
            chart.draw_series(LineSeries::new(points.clone(), stroke(transport)))?;
            chart.draw_series(points.into_iter().map(|at| marker(transport, at)))?;
        }
        Ok(())
    }
}

fn stroke(transport: Transport) -> ShapeStyle {
    colour(transport).stroke_width(2)
}

fn dark_line() -> ShapeStyle {
    DARK.stroke_width(2)
}

/// Returns the marker of a transport. The shapes tell the transports apart without colours too.
fn marker<'a, C: Clone + 'static>(
    transport: Transport,
    at: C,
) -> DynElement<'static, SVGBackend<'a>, C> {
    let (filled, outline) = (
        colour(transport).filled(),
        colour(transport).stroke_width(3),
    );
    match transport {
        Transport::SharedMemory => Circle::new(at, 6, filled).into_dyn(),
        Transport::Pipe => TriangleMarker::new(at, 8, filled).into_dyn(),
        Transport::Local => Circle::new(at, 6, outline).into_dyn(),
        Transport::Tcp => Cross::new(at, 5, outline).into_dyn(),
    }
}

/// Returns the range of the values, with some space at both ends.
fn around(values: &[f64]) -> Range<f64> {
    let (least, most) = bounds(values.iter().copied());
    least / 1.6..most * 1.6
}

/// Returns a range from one power of ten to another, without a value close to an end.
fn decades(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (least, most) = bounds(values);
    let (from, to) = ((least / 1.3).log10().floor(), (most * 1.3).log10().ceil());
    10f64.powf(from)..10f64.powf(to)
}

fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, 0.0), |(least, most), value| {
        (value.min(least), value.max(most))
    })
}

/// Returns the powers of ten in a range that begins with a power of ten.
fn powers(range: &Range<f64>) -> Vec<f64> {
    let end = range.end * 1.01;
    let next = |power: &f64| Some(power * 10.0);
    let all = std::iter::successors(Some(range.start), next);
    all.take_while(|power| *power < end).collect()
}

/// Returns the values whose labels do not overlap. The values are in ascending order.
fn apart(values: &[f64], range: &Range<f64>) -> Vec<f64> {
    let gap = (range.end / range.start).powf(1.0 / MAX_LABELS);
    let mut labels: Vec<f64> = Vec::new();
    for value in values {
        if labels.last().is_none_or(|last| *value >= last * gap) {
            labels.push(*value);
        }
    }
    labels
}
