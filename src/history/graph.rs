//! Walking commits: the order of a log, common ancestors, and the drawing beside a log.

use super::Commit;
use super::History;
use crate::attr::Time;
use crate::error::Result;
use crate::id::CommitId;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::HashMap;
use std::collections::HashSet;

/// What comes first in a log: the newest; of two at one time, the smaller id.
type Rank = (Time, Reverse<CommitId>);

fn rank(id: CommitId, commit: &Commit) -> Rank {
    (commit.time, Reverse(id))
}

/// The commits reachable from some tips, newest first, read as they are asked for, each once.
///
/// Where clocks were wrong a parent may come before a child that is older than it; [`log`] puts
/// that right at the price of reading all before the first.
pub struct Ancestors<'a> {
    history: &'a dyn History,
    ready: BinaryHeap<Rank>,
    commits: HashMap<CommitId, Commit>,
    seen: HashSet<CommitId>,
    /// Ids still to be read, so that `new` cannot fail.
    tips: Vec<CommitId>,
}

impl<'a> Ancestors<'a> {
    pub fn new(history: &'a dyn History, tips: &[CommitId]) -> Ancestors<'a> {
        Ancestors {
            history,
            ready: BinaryHeap::new(),
            commits: HashMap::new(),
            seen: HashSet::new(),
            tips: tips.to_vec(),
        }
    }

    /// Leaves out `hidden`, as if they had been returned before.
    pub fn without(mut self, hidden: HashSet<CommitId>) -> Ancestors<'a> {
        self.seen.extend(hidden);
        self
    }

    fn step(&mut self) -> Result<Option<(CommitId, Commit)>> {
        while let Some(id) = self.tips.pop() {
            if self.seen.insert(id) {
                let commit = self.history.commit(&id)?;
                self.ready.push(rank(id, &commit));
                self.commits.insert(id, commit);
            }
        }
        let Some((_, Reverse(id))) = self.ready.pop() else {
            return Ok(None);
        };
        let commit = self.commits.remove(&id).expect("what is ready was read");
        self.tips.extend_from_slice(&commit.parents);
        Ok(Some((id, commit)))
    }
}

impl Iterator for Ancestors<'_> {
    type Item = Result<(CommitId, Commit)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

/// Returns `tips` and all they descend from.
pub fn ancestors(history: &dyn History, tips: &[CommitId]) -> Result<HashSet<CommitId>> {
    Ancestors::new(history, tips).map(|found| Ok(found?.0)).collect()
}

/// Says whether `old` is `new` or one of its ancestors.
pub fn is_ancestor(history: &dyn History, old: &CommitId, new: &CommitId) -> Result<bool> {
    for found in Ancestors::new(history, &[*new]) {
        if found?.0 == *old {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The commits reachable from `tips` and not from `hidden`: newest first, no parent before all
/// its children. Reads each commit once.
pub fn log(history: &dyn History, tips: &[CommitId], hidden: &[CommitId]) -> Result<Vec<(CommitId, Commit)>> {
    let hidden = ancestors(history, hidden)?;
    let mut commits = HashMap::new();
    let mut n_children: HashMap<CommitId, usize> = HashMap::new();
    for found in Ancestors::new(history, tips).without(hidden) {
        let (id, commit) = found?;
        for parent in &commit.parents {
            *n_children.entry(*parent).or_default() += 1;
        }
        commits.insert(id, commit);
    }
    let free = |(id, _): &(&CommitId, &Commit)| !n_children.contains_key(*id);
    let mut ready: BinaryHeap<Rank> =
        commits.iter().filter(free).map(|(id, commit)| rank(*id, commit)).collect();
    let mut ordered = Vec::with_capacity(commits.len());
    while let Some((_, Reverse(id))) = ready.pop() {
        let commit = commits.remove(&id).expect("a commit gets ready once");
        for parent in &commit.parents {
            let left = n_children.get_mut(parent).expect("every parent was counted");
            *left -= 1;
            if let (0, Some(found)) = (*left, commits.get(parent)) {
                ready.push(rank(*parent, found));
            }
        }
        ordered.push((id, commit));
    }
    Ok(ordered)
}

/// Returns the newest commits both sides descend from: those no other common one descends from.
///
/// Empty when their histories never met; more than one where they were merged crosswise. Reads
/// each commit of both once.
pub fn merge_bases(history: &dyn History, one: &CommitId, two: &CommitId) -> Result<Vec<CommitId>> {
    let ours = ancestors(history, &[*one])?;
    let mut common: HashMap<CommitId, Commit> = HashMap::new();
    for found in Ancestors::new(history, &[*two]) {
        let (id, commit) = found?;
        if ours.contains(&id) {
            common.insert(id, commit);
        }
    }
    let passed: HashSet<CommitId> =
        common.values().flat_map(|commit| commit.parents.iter().copied()).collect();
    let mut bases: Vec<Rank> =
        common.iter().filter(|(id, _)| !passed.contains(*id)).map(|(id, commit)| rank(*id, commit)).collect();
    bases.sort_unstable_by(|one, two| two.cmp(one));
    Ok(bases.into_iter().map(|(_, Reverse(id))| id).collect())
}

/// The newest merge base, if there is one.
pub fn merge_base(history: &dyn History, one: &CommitId, two: &CommitId) -> Result<Option<CommitId>> {
    Ok(merge_bases(history, one, two)?.first().copied())
}

/// Draws the columns beside a log, as `git log --graph` does.
///
/// Give it each commit in the order of [`log`]. A column stands for a commit that is still to
/// come: a child above waits for it.
#[derive(Debug, Default)]
pub struct Graph {
    columns: Vec<CommitId>,
}

/// What stands left of one commit. No line ends in a space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Before the commit's first line: `| * |`.
    pub node: String,
    /// Before each further line of its text: `| | |`.
    pub text: String,
    /// Lines of their own after its text: `|\`, `|/`.
    pub links: Vec<String>,
}

impl Graph {
    pub fn new() -> Graph {
        Graph::default()
    }

    pub fn row(&mut self, id: &CommitId, parents: &[CommitId]) -> Row {
        let at = self.columns.iter().position(|column| column == id).unwrap_or_else(|| {
            self.columns.push(*id);
            self.columns.len() - 1
        });
        let node =
            line(self.columns.len(), |column, line| line.bar(column, if column == at { '*' } else { '|' }));
        let has_parents = !parents.is_empty();
        let text = line(self.columns.len(), |column, line| {
            line.bar(column, if column == at && !has_parents { ' ' } else { '|' });
        });
        let mut links = Vec::new();
        match parents.split_first() {
            None => {
                self.columns.remove(at);
                // What stood to the right moves up; what stood to the left needs no line.
                if at < self.columns.len() {
                    links.push(line(self.columns.len() + 1, |column, line| match column {
                        _ if column < at => line.bar(column, '|'),
                        _ if column == at => {}
                        _ => line.left(column),
                    }));
                }
            }
            Some((first, others)) => {
                self.columns[at] = *first;
                for (nth, other) in others.iter().enumerate() {
                    let from = at + nth;
                    links.push(line(self.columns.len(), |column, line| match column {
                        _ if column < from => line.bar(column, '|'),
                        _ if column == from => {
                            line.bar(column, '|');
                            line.right(column);
                        }
                        _ => line.right(column),
                    }));
                    self.columns.insert(from + 1, *other);
                }
            }
        }
        while self.join_two(&mut links) {}
        Row { node, text, links }
    }

    /// Draws the leftmost column that waits for the same commit as one left of it into that one.
    fn join_two(&mut self, links: &mut Vec<String>) -> bool {
        let twin = |at: usize| self.columns[..at].iter().position(|column| *column == self.columns[at]);
        let Some((from, to)) = (0..self.columns.len()).find_map(|at| twin(at).map(|to| (at, to))) else {
            return false;
        };
        links.push(line(self.columns.len(), |column, line| {
            if column < from { line.bar(column, '|') } else { line.left(column) }
        }));
        self.columns.remove(from);
        // The rest of the way leads under the columns between.
        for passed in (to + 1..from).rev() {
            links.push(line(self.columns.len(), |column, line| {
                line.bar(column, '|');
                if column == passed {
                    line.left(column);
                }
            }));
        }
        true
    }
}

/// Column `n` stands at letter `2n`, a slope between two columns at the odd letter between them.
struct Line(Vec<char>);

impl Line {
    fn put(&mut self, at: usize, letter: char) {
        if self.0.len() <= at {
            self.0.resize(at + 1, ' ');
        }
        self.0[at] = letter;
    }

    fn bar(&mut self, column: usize, letter: char) {
        self.put(2 * column, letter);
    }

    fn left(&mut self, column: usize) {
        self.put(2 * column - 1, '/');
    }

    fn right(&mut self, column: usize) {
        self.put(2 * column + 1, '\\');
    }
}

fn line(n_columns: usize, mut draw: impl FnMut(usize, &mut Line)) -> String {
    let mut line = Line(Vec::new());
    (0..n_columns).for_each(|column| draw(column, &mut line));
    line.0.into_iter().collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::memory::MemoryHistory;
    use crate::history::memory::commit;

    fn names(history: &MemoryHistory, ids: impl IntoIterator<Item = CommitId>) -> String {
        ids.into_iter().map(|id| history.message(&id)).collect::<Vec<_>>().join(" ")
    }

    fn drawn(lines: &[&str], tips: &[&str]) -> String {
        let history = MemoryHistory::of(lines);
        let tips: Vec<CommitId> = tips.iter().map(|tip| history.id(tip)).collect();
        let mut graph = Graph::new();
        let mut text = String::new();
        for (id, commit) in log(&history, &tips, &[]).unwrap() {
            let row = graph.row(&id, &commit.parents);
            text += &format!("{} {}\n", row.node, commit.message);
            row.links.iter().for_each(|link| text += &format!("{link}\n"));
        }
        text
    }

    #[test]
    fn a_line_is_a_line() {
        assert_eq!(drawn(&["a", "b: a", "c: b"], &["c"]), "* c\n* b\n* a\n");
    }

    #[test]
    fn a_merge_opens_and_closes() {
        // git pads the line of a merge to `*   m`; we do not.
        let expected = r"
* m
|\
| * c
* | b
|/
* a
";
        assert_eq!(drawn(&["a", "b: a", "c: a", "m: b c"], &["m"]), expected.trim_start());
    }

    #[test]
    fn columns_make_room_and_pass_under() {
        let expected = r"
* n
|\
| * m
| |\
| | * d
| * | c
|/ /
* | b
|/
* a
";
        let lines = ["a", "b: a", "c: b", "d: a", "m: c d", "n: b m"];
        assert_eq!(drawn(&lines, &["n"]), expected.trim_start());
        let expected = r"
* n
|\
| * m
| |\
| | * d
| |/
|/|
| * c
* | b
|/
* a
";
        let lines = ["a", "b: a", "c: a", "d: b", "m: c d", "n: b m"];
        assert_eq!(drawn(&lines, &["n"]), expected.trim_start());
    }

    #[test]
    fn octopus_and_second_tips() {
        let lines = ["a", "b: a", "c: a", "d: a", "o: b c d", "x: a"];
        let expected = r"
* x
| * o
| |\
| | |\
| | | * d
| | |/
| |/|
|/| |
| | * c
| |/
|/|
| * b
|/
* a
";
        assert_eq!(drawn(&lines, &["o", "x"]), expected.trim_start());
    }

    #[test]
    fn unrelated_roots_leave_their_column() {
        let expected = r"
* m
|\
| * b
* a
";
        assert_eq!(drawn(&["a", "b", "m: a b"], &["m"]), expected.trim_start());
        let expected = r"
* m
|\
* | b
 /
* a
";
        assert_eq!(drawn(&["a", "b", "m: b a"], &["m"]), expected.trim_start());
    }

    #[test]
    fn parents_come_after_children_whatever_the_clock_said() {
        let mut history = MemoryHistory::default();
        let root = history.put(commit("root", 9_000, &[]));
        let left = history.put(commit("left", 10, &[root]));
        let right = history.put(commit("right", 20, &[root]));
        let tip = history.put(commit("tip", 5, &[left, right]));
        let order = log(&history, &[tip, left], &[]).unwrap();
        assert_eq!(names(&history, order.into_iter().map(|found| found.0)), "tip right left root");
        assert_eq!(history.reads.get(), 4);
    }

    #[test]
    fn hidden_history_is_left_out() {
        let history = MemoryHistory::of(&["a", "b: a", "c: b", "d: b", "m: c d"]);
        let order = log(&history, &[history.id("m")], &[history.id("c")]).unwrap();
        assert_eq!(names(&history, order.into_iter().map(|found| found.0)), "m d");
    }

    #[test]
    fn merge_bases_are_the_newest_common_ones() {
        let history = MemoryHistory::of(&["a", "b: a", "c: b", "d: b", "x: c d", "y: d c", "u"]);
        let bases = |one: &str, two: &str| {
            names(&history, merge_bases(&history, &history.id(one), &history.id(two)).unwrap())
        };
        assert_eq!(bases("c", "d"), "b");
        assert_eq!(bases("a", "d"), "a");
        assert_eq!(bases("x", "y"), "d c");
        assert_eq!(bases("x", "u"), "");
        assert!(is_ancestor(&history, &history.id("a"), &history.id("x")).unwrap());
        assert!(!is_ancestor(&history, &history.id("x"), &history.id("a")).unwrap());
    }

    #[test]
    fn ancestors_read_no_more_than_asked() {
        let history = MemoryHistory::of(&["a", "b: a", "c: b", "d: c"]);
        let newest: Vec<CommitId> =
            Ancestors::new(&history, &[history.id("d")]).take(2).map(|found| found.unwrap().0).collect();
        assert_eq!(names(&history, newest), "d c");
        assert_eq!(history.reads.get(), 2);
    }
}
