//! No circles between the modules of a crate: whoever reads one of them need not read all of them. A module here is a
//! folder or file directly under `src`; what is within one is its own matter.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::workspace::Workspace;

/// Crates that are large enough to be lost in.
const CRATES: &[&str] = &["agent", "shim", "zpack-api"];

/// Module to the modules that it names.
type Graph = BTreeMap<String, BTreeSet<String>>;

pub(super) fn check(workspace: &Workspace) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for name in CRATES {
        let graph = graph(&workspace.root.join("crates").join(name).join("src"))?;
        findings.extend(circles(&graph).iter().map(|circle| format!("{name}: {}", circle.join(" → "))));
    }
    Ok(findings)
}

fn graph(src: &Path) -> Result<Graph> {
    let mut sources = Vec::new();
    collect(src, src, &mut sources)?;
    let mut graph = Graph::new();
    for (path, _) in &sources {
        graph.entry(path[0].clone()).or_default();
    }
    for (path, file) in &sources {
        let text = fs::read_to_string(file)?;
        let named = modules_named(path, &text).with_context(|| file.display().to_string())?;
        let others = named.into_iter().filter(|other| *other != path[0] && graph.contains_key(other));
        let others: Vec<_> = others.collect();
        graph.entry(path[0].clone()).or_default().extend(others);
    }
    Ok(graph)
}

/// Every file below a folder with its module path; the crate's roots are no modules.
fn collect(src: &Path, folder: &Path, sources: &mut Vec<(Vec<String>, PathBuf)>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(src, &path, sources)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let module = module_path(path.strip_prefix(src)?);
            if !module.is_empty() {
                sources.push((module, path));
            }
        }
    }
    Ok(())
}

fn module_path(file: &Path) -> Vec<String> {
    let mut path: Vec<_> =
        file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if path.last().is_some_and(|last| last == "mod" || (path.len() == 1 && (last == "lib" || last == "main")))
    {
        path.pop();
    }
    path
}

/// The first segments of all paths from the crate's root that a file names, its tests left out.
fn modules_named(module: &[String], text: &str) -> Result<BTreeSet<String>> {
    let tokens = text.parse::<TokenStream>().map_err(|error| anyhow!("it cannot be read: {error}"))?;
    let mut names = Names { module: module.to_vec(), found: BTreeSet::new() };
    names.walk(tokens);
    Ok(names.found)
}

/// Goes through tokens: what is in a macro's brackets is nothing else, and may name modules as well.
struct Names {
    module: Vec<String>,
    found: BTreeSet<String>,
}

impl Names {
    fn walk(&mut self, tokens: TokenStream) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let (mut at, mut for_tests) = (0, false);
        while at < tokens.len() {
            match &tokens[at..] {
                [TokenTree::Punct(hash), TokenTree::Group(attribute), ..] if hash.as_char() == '#' => {
                    for_tests = attribute.stream().to_string().replace(' ', "") == "cfg(test)";
                    at += 2;
                }
                [TokenTree::Ident(keyword), TokenTree::Ident(name), TokenTree::Group(body), ..]
                    if keyword == "mod" =>
                {
                    if !std::mem::take(&mut for_tests) {
                        self.module.push(name.to_string());
                        self.walk(body.stream());
                        self.module.pop();
                    }
                    at += 3;
                }
                [TokenTree::Ident(first), rest @ ..]
                    if (first == "crate" || first == "super") && is_path(rest) =>
                {
                    at += self.tree(&[], &tokens[at..]);
                }
                [TokenTree::Group(group), ..] => {
                    self.walk(group.stream());
                    at += 1;
                }
                _ => at += 1,
            }
        }
    }

    /// A path, or a tree of them in braces, that goes on from `before`. Returns how many tokens it has.
    fn tree(&mut self, before: &[String], tokens: &[TokenTree]) -> usize {
        let (mut path, mut at) = (before.to_vec(), 0);
        loop {
            match tokens.get(at) {
                Some(TokenTree::Ident(part)) => {
                    path.push(part.to_string());
                    at += 1;
                    if is_path(&tokens[at..]) {
                        at += 2;
                        continue;
                    }
                }
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    let inner: Vec<_> = group.stream().into_iter().collect();
                    let comma =
                        |token: &TokenTree| matches!(token, TokenTree::Punct(it) if it.as_char() == ',');
                    for branch in inner.split(comma).filter(|branch| !branch.is_empty()) {
                        self.tree(&path, branch);
                    }
                    return at + 1;
                }
                _ => {}
            }
            self.name(&path);
            return at.max(1);
        }
    }

    /// A path as it is written, from this module on.
    fn name(&mut self, path: &[String]) {
        let from_root = match path.first().map(String::as_str) {
            Some("crate") => path[1..].to_vec(),
            Some("super") => {
                let up = path.iter().take_while(|part| *part == "super").count();
                let kept = self.module.len().saturating_sub(up);
                [&self.module[..kept], &path[up..]].concat()
            }
            _ => return,
        };
        self.found.extend(from_root.into_iter().next());
    }
}

/// Whether `::` follows.
fn is_path(tokens: &[TokenTree]) -> bool {
    let colon = |token: &TokenTree| matches!(token, TokenTree::Punct(it) if it.as_char() == ':');
    tokens.len() > 2 && tokens[..2].iter().all(colon)
}

/// A shortest circle through each module that is on one, each circle once.
fn circles(graph: &Graph) -> Vec<Vec<String>> {
    let mut known: BTreeSet<String> = BTreeSet::new();
    let mut circles = Vec::new();
    for start in graph.keys() {
        if known.contains(start) {
            continue;
        }
        if let Some(circle) = shortest(graph, start) {
            known.extend(circle.iter().cloned());
            circles.push(circle);
        }
    }
    circles
}

/// Breadth first, back to the start.
fn shortest(graph: &Graph, start: &str) -> Option<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut ways = std::collections::VecDeque::from([vec![start.to_owned()]]);
    while let Some(way) = ways.pop_front() {
        for next in graph.get(way.last()?).into_iter().flatten() {
            let mut longer = way.clone();
            longer.push(next.clone());
            if next == start {
                return Some(longer);
            }
            if seen.insert(next.clone()) {
                ways.push_back(longer);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(module: &[&str], text: &str) -> Vec<String> {
        let module: Vec<_> = module.iter().map(|part| (*part).to_owned()).collect();
        modules_named(&module, text).unwrap().into_iter().collect()
    }

    #[test]
    fn every_form_of_a_path_is_seen() {
        for (text, expected) in [
            ("use crate::app::App;", vec!["app"]),
            ("use crate::{app::App, http::{self, Load}, problem as p};", vec!["app", "http", "problem"]),
            ("use crate::app::*;", vec!["app"]),
            (
                "fn f(it: &crate::view::View) -> crate::app::App { crate::power::switch(it) }",
                vec!["app", "power", "view"],
            ),
            (
                "fn f() { tracing::info!(n = crate::power::N, \"{}\", crate::app::name()); }",
                vec!["app", "power"],
            ),
            ("impl From<crate::power::E> for X {}", vec!["power"]),
            ("use std::sync::Arc; use super::tap::Tap;", vec!["console"]),
            ("use super::super::power; fn f() { super::super::app::f() }", vec!["app", "power"]),
            ("mod inner { use super::super::super::app; }", vec!["app"]),
            ("#[cfg(test)] mod tests { use crate::serve::serve; }", vec![]),
        ] {
            assert_eq!(named(&["console", "hub"], text), expected, "{text}");
        }
    }

    #[test]
    fn a_file_is_the_module_of_its_place() {
        for (file, module) in [
            ("lib.rs", ""),
            ("main.rs", ""),
            ("app.rs", "app"),
            ("ide/mod.rs", "ide"),
            ("ide/page.rs", "ide page"),
        ] {
            assert_eq!(module_path(Path::new(file)).join(" "), module);
        }
    }

    #[test]
    fn a_circle_is_named_and_a_tree_is_none() {
        let graph = |edges: &[(&str, &[&str])]| {
            let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            edges.iter().map(|(from, to)| ((*from).to_owned(), owned(to))).collect::<Graph>()
        };
        let tree = graph(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])]);
        assert_eq!(circles(&tree), Vec::<Vec<String>>::new());
        let circle = graph(&[("a", &["b"]), ("b", &["c"]), ("c", &["a"]), ("d", &["a"])]);
        assert_eq!(circles(&circle), [["a", "b", "c", "a"]]);
    }
}
