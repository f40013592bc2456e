//! Warns of names from which a shell has removed the backslash of `Global\` or `Local\`.

use crate::args::Command;
use crate::output;

/// Warns of each name of the command line that may have lost its backslash. Such a name is valid,
/// so the command uses the name as it is.
pub fn warn(command: &Command) {
    for name in names(command) {
        if let Some(warning) = warning(name) {
            output::remark(&warning);
        }
    }
}

/// Returns the names of objects on the command line.
fn names(command: &Command) -> Vec<&str> {
    let name = match command {
        Command::Serve(args) => {
            let beside = [&args.event, &args.mutex].into_iter().flatten();
            let all = std::iter::once(&args.name).chain(beside);
            return all.map(String::as_str).collect();
        }
        Command::Publish(args) => &args.name,
        Command::Subscribe(args) => &args.name,
        Command::Consume(args) => &args.name,
        Command::Send(args) => &args.name,
        Command::Recv(args) => &args.name,
        Command::Set(args) => &args.name,
        Command::Get(args) => &args.name,
        Command::Answer(args) => &args.name,
        Command::Call(args) => &args.name,
        Command::Show(args) => &args.name,
        Command::Dump(args) => &args.name,
        Command::Write(args) => &args.name,
        Command::Signal(args) => &args.name,
        Command::Wait(args) => &args.name,
        Command::Hold(args) => &args.name,
        Command::List(_)
        | Command::Clean(_)
        | Command::Doctor(_)
        | Command::Demo { .. }
        | Command::Bench(_)
        | Command::Completions(_)
        | Command::Man(_)
        | Command::DemoSubscriber { .. }
        | Command::BenchPeer(_)
        | Command::SelfTestPeer(_) => return Vec::new(),
    };
    vec![name]
}

/// Returns the warning for a name that begins with a prefix and has no backslash.
fn warning(name: &str) -> Option<String> {
    if name.contains('\\') {
        return None;
    }
    let (prefix, rest) = ["Global", "Local"]
        .into_iter()
        .find_map(|prefix| Some((prefix, name.strip_prefix(prefix)?)))?;
    if rest.is_empty() {
        return None;
    }
    let name = output::name(name);
    let meant = format!("{prefix}\\{}", output::name(rest));
    Some(format!(
        "the name {name} has no backslash; if a shell removed the backslash, write '{meant}' in sh and \
         PowerShell, or \"{meant}\" in cmd"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Args;
    use clap::{CommandFactory, Parser};

    #[test]
    fn prefix_without_backslash_triggers_warning() {
        let told = warning("GlobalPrices").unwrap();
        let forms = [
            "'Global\\Prices' in sh and PowerShell",
            "\"Global\\Prices\" in cmd",
        ];
        for form in forms {
            assert!(told.contains(form), "{told}");
        }
        assert!(warning("Local_x\n").unwrap().contains("'Local\\_x\\n'"));
        for name in [
            "Global\\Prices",
            "Local\\x",
            "Global",
            "globalX",
            "Prices",
            "/Global",
        ] {
            assert_eq!(warning(name), None, "{name}");
        }
    }

    /// Covers each command whose first argument is a name, and each option that takes a name.
    #[test]
    fn backslash_check_covers_names_of_every_command() {
        let mut found = 0;
        for command in Args::command().get_subcommands() {
            let is_name = |arg: &clap::Arg| arg.get_id() == "name" && !command.is_hide_set();
            if command.get_arguments().any(is_name) {
                found += 1;
                let words = match command.get_name() {
                    "write" => vec!["--offset", "0", "--u32", "1"],
                    _ => vec![],
                };
                let line = ["shmkit", command.get_name(), "GlobalX"].into_iter();
                let args = Args::parse_from(line.chain(words));
                assert_eq!(names(&args.command), ["GlobalX"], "{}", command.get_name());
            }
        }
        assert!(found > 10);
        let beside = ["serve", "a", "--event", "b", "--mutex", "c"];
        let args = Args::parse_from(std::iter::once("shmkit").chain(beside));
        assert_eq!(names(&args.command), ["a", "b", "c"]);
    }
}
