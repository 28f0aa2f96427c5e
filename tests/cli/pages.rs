//! The pages of documentation agree with the program: its commands and flags, and the files that the pages link to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use evenkeel::workload::rights::{Activity, Reach, rights_of};

use super::World;

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// README.md, CHANGELOG.md, SECURITY.md, the page of the examples and every page in docs/.
fn pages() -> Vec<PathBuf> {
    let docs = fs::read_dir(project().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let docs = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let pages: Vec<PathBuf> = ["README.md", "CHANGELOG.md", "SECURITY.md", "examples/README.md"]
        .map(|page| project().join(page))
        .into_iter()
        .chain(docs)
        .collect();
    assert!(pages.len() > 5, "{pages:?}");
    pages
}

/// All `--flag`s in a text.
fn flags(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let starts = text.match_indices("--").filter(|(at, _)| !text[..*at].ends_with(|c: char| is_part(c) || c == '_'));
    let names = starts.map(|(at, _)| {
        let rest = &text[at..];
        rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())].trim_end_matches('-').to_owned()
    });
    names.filter(|name| name.len() > 2).collect()
}

/// The long flags of a help text: the lines of its options begin with them, perhaps after a short flag.
fn flags_of_help(help: &str) -> BTreeSet<String> {
    let options = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    options.filter_map(|line| flags(line.split("  ").next().unwrap()).into_iter().next()).collect()
}

/// The commands in a help text.
fn commands_of_help(help: &str) -> Vec<&str> {
    let list = help.split("Commands:\n").nth(1).unwrap_or_default().split("\n\n").next().unwrap();
    let names = list.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !name.is_empty() && *name != "help").collect()
}

/// The flags of each command and of the commands below it, from their own help.
fn commands() -> BTreeMap<String, BTreeSet<String>> {
    let world = World::new();
    let help = world.run(&["--help"]).stdout;
    let of_command = |name: &&str| {
        let own = world.run(&[name, "--help"]).stdout;
        let below = commands_of_help(&own).into_iter().map(|below| world.run(&[name, below, "--help"]).stdout);
        let flags = below.flat_map(|help| flags_of_help(&help)).chain(flags_of_help(&own)).collect();
        ((*name).to_owned(), flags)
    };
    let commands: BTreeMap<_, BTreeSet<String>> = commands_of_help(&help).iter().map(of_command).collect();
    assert!(commands.len() > 10 && commands["test"].contains("--expect"), "{commands:?}");
    commands
}

/// The text of a page by its headings of the second level.
fn sections(page: &str) -> BTreeMap<String, &str> {
    page.split("\n## ").skip(1).map(|section| section.split_once('\n').unwrap()).map(|(h, t)| (h.into(), t)).collect()
}

/// Flags in the first column of the tables, which are those that the page explains.
fn explained(section: &str) -> BTreeSet<String> {
    let rows = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    rows.flat_map(flags).collect()
}

#[test]
fn the_page_of_commands_explains_every_command_and_flag_and_no_other() {
    let page = read(&project().join("docs/commands.md"));
    let sections = sections(&page);
    let global = explained(sections["Flags that every command takes"]);
    let commands = commands();
    let mut wrong = Vec::new();
    for (command, flags) in &commands {
        let Some(section) = sections.get(command) else {
            wrong.push(format!("{command} has no section"));
            continue;
        };
        let explained: BTreeSet<String> = explained(section).union(&global).cloned().collect();
        wrong.extend(flags.difference(&explained).map(|flag| format!("{command} {flag} is missing")));
        wrong.extend(explained.difference(flags).map(|flag| format!("{command} has no {flag}")));
        if !page.contains(&format!("| [`{command}`](#{command}) |")) {
            wrong.push(format!("{command} is missing in the list of commands"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let all: BTreeSet<String> = commands.into_values().flatten().chain(global).collect();
    let unknown: Vec<String> = flags(&page).difference(&all).cloned().collect();
    assert!(unknown.is_empty(), "no command has {unknown:?}");
}

#[test]
fn commands_in_the_pages_have_flags_that_exist() {
    let commands = commands();
    let mut checked = 0;
    for page in pages() {
        for line in read(&page).lines() {
            let line = line.trim_start_matches(['$', ' ']).trim_start_matches("sudo ");
            let Some((command, arguments)) =
                line.strip_prefix("evenkeel ").map(|rest| rest.split_once(' ').unwrap_or((rest, "")))
            else {
                continue;
            };
            let Some(known) = commands.get(command.trim_end_matches(['`', '.', ','])) else { continue };
            let arguments = arguments.split([';', '&', '|', '#']).next().unwrap();
            let unknown: Vec<String> = flags(arguments).difference(known).cloned().collect();
            assert!(unknown.is_empty(), "{}: {line}: {unknown:?}", page.display());
            checked += 1;
        }
    }
    assert!(checked > 20, "only {checked} commands found");
}

/// The targets of the links and images of a page that are not on another machine.
fn links(page: &str) -> Vec<&str> {
    let targets = page.split("](").skip(1).filter_map(|rest| rest.split([')', ' ', '\n']).next());
    let sources = page.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next());
    targets.chain(sources).filter(|target| !target.contains("://") && !target.starts_with("mailto:")).collect()
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut code = false;
    let headings = page.lines().filter(|line| {
        code ^= line.starts_with("```");
        !code && line.starts_with('#')
    });
    let anchor = |heading: &str| {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn relative_links_lead_to_files_and_headings() {
    let mut wrong = Vec::new();
    let mut checked = 0;
    for page in pages() {
        for link in links(&read(&page)) {
            let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
            let target = if file.is_empty() { page.clone() } else { page.with_file_name(file) };
            let good = target.exists() && anchor.is_none_or(|anchor| anchors(&read(&target)).contains(anchor));
            if !good {
                wrong.push(format!("{}: {link}", page.display()));
            }
            checked += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 50, "only {checked} links found");
}

/// The rights of one verb as cells of a table: those in the namespace, and those in the whole cluster.
fn rights_cells(activity: Activity) -> [String; 2] {
    let rights = rights_of(&[activity]);
    [Reach::Namespace, Reach::Cluster].map(|reach| {
        // The verbs of each resource, and then the resources with the same verbs.
        let mut verbs: BTreeMap<(bool, String), BTreeSet<&str>> = BTreeMap::new();
        for right in rights.iter().filter(|right| right.reach == reach) {
            let (resource, subresource) = right.resource.split_once('/').unwrap_or((right.resource, ""));
            let group = if right.group.is_empty() { String::new() } else { format!(".{}", right.group) };
            let slash = if subresource.is_empty() { "" } else { "/" };
            let resource = format!("`{resource}{group}{slash}{subresource}`");
            verbs.entry((right.without.is_some(), resource)).or_default().insert(right.verb);
        }
        let mut rules: BTreeMap<(bool, Vec<&str>), Vec<String>> = BTreeMap::new();
        for ((optional, resource), verbs) in verbs {
            rules.entry((optional, verbs.into_iter().collect())).or_default().push(resource);
        }
        let rule = |((optional, verbs), resources): ((bool, Vec<&str>), Vec<String>)| {
            let text = format!("{} {}", verbs.join(", "), resources.join(", "));
            if optional { format!("*{text}*") } else { text }
        };
        rules.into_iter().map(rule).collect::<Vec<_>>().join("; ")
    })
}

#[test]
fn the_page_of_clusters_has_the_rights_of_every_verb() {
    let row = |activity: Activity| {
        let [in_namespace, in_cluster] = rights_cells(activity);
        format!("| `{activity}` | {in_namespace} | {in_cluster} |\n")
    };
    let header = "| Verb | Rights in the namespace | Rights in the whole cluster |\n| --- | --- | --- |\n";
    let table: String = std::iter::once(header.to_owned()).chain(Activity::ALL.map(row)).collect();
    let page = read(&project().join("docs/clusters.md"));
    assert!(page.contains(&table), "the table of rights in docs/clusters.md should be:\n{table}");
}
