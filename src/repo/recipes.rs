//! Recipes, whatever they rebuild: the first byte of each says whether that is a layer or a disk.

use crate::content::ContentSource;
use crate::disk::skeleton;
use crate::error::Result;
use crate::error::from_stream;
use crate::id::ContentId;
use crate::layer;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;

const COPY_BYTES: usize = 256 << 10;

/// Calls `each` with every content that a recipe needs; one may come twice.
pub fn contents(
    mut recipe: impl Read + Send,
    contents: &dyn ContentSource,
    each: &mut dyn FnMut(ContentId) -> Result<()>,
) -> Result<()> {
    match first(&mut recipe)? {
        (true, mut recipe) => skeleton::recipe::contents(&mut recipe, contents, each),
        (false, mut recipe) => layer::recipe::contents(&mut recipe, each),
    }
}

/// Writes to `out` what a recipe rebuilds. Whoever needs proof hashes it.
pub fn rebuild(
    mut recipe: impl Read + Send,
    contents: &(dyn ContentSource + Sync),
    out: &mut dyn Write,
) -> Result<()> {
    match first(&mut recipe)? {
        (true, mut recipe) => {
            let disk = skeleton::rebuild::Stream::new(&mut recipe, contents)?;
            std::io::copy(&mut BufReader::with_capacity(COPY_BYTES, disk), out)
                .map(drop)
                .map_err(|err| from_stream("the disk being written", err))
        }
        (false, mut recipe) => layer::rebuild::rebuild(&mut recipe, contents, out).map(drop),
    }
}

/// Whether it is of a disk, and the recipe from its first byte on.
fn first(recipe: &mut (dyn Read + Send)) -> Result<(bool, impl Read + Send + '_)> {
    let mut version = Vec::new();
    recipe.take(1).read_to_end(&mut version).map_err(|err| from_stream("a recipe", err))?;
    let disk = version.first().is_some_and(|version| *version >= skeleton::recipe::VERSION);
    Ok((disk, std::io::Cursor::new(version).chain(recipe)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::ContentSink as _;
    use crate::disk::skeleton::Fingerprints;
    use crate::id::DiffId;
    use crate::progress::Silent;
    use crate::repo::Repo;
    use std::collections::HashSet;
    use std::time::Duration;

    #[test]
    fn a_layer_and_a_disk_come_back_and_name_what_they_need() {
        let folder = tempfile::tempdir().unwrap();
        let repo = Repo::create(&folder.path().join("store"), Duration::from_secs(5)).unwrap();
        let file = b"the same file in both".repeat(1_000);
        let tar = [layer::testing::member(b"file", b'0', &file), layer::testing::end()].concat();
        let disk = [vec![1; 512], vec![0; 7 * 512], file.clone(), vec![2; 600]].concat();
        let mut tx = repo.begin().unwrap();

        let mut of_layer = Vec::new();
        let limits = layer::Limits::default();
        let taken = layer::read::take_apart(&mut &tar[..], &mut tx, &mut of_layer, &mut |_| Ok(()), &limits);
        assert_eq!(taken.unwrap().whole().unwrap().entries, 1);
        tx.put_recipe(DiffId::of(&tar), of_layer.len() as u64, &mut &of_layer[..]).unwrap();

        let mut prints = Fingerprints::default();
        let mut bytes = &file[..];
        let mut tee = prints.tee(&mut bytes);
        let id = tx.put(file.len() as u64, &mut tee).unwrap();
        tee.keep(id).unwrap();
        let table = prints.finish();
        let skeleton = skeleton::find(&disk, &[], &table, &[], &tx.contents().unwrap(), &Silent).unwrap();
        let mut ops = Vec::new();
        let written = skeleton.write(&disk, &table, [], &mut tx, &mut ops, &Silent).unwrap();
        assert_eq!(written.content_bytes, file.len() as u64);
        let of_disk = [written.head, ops].concat();
        tx.put_recipe(skeleton.id, of_disk.len() as u64, &mut &of_disk[..]).unwrap();
        let committed = tx.commit(&Silent).unwrap();

        let mut needed = HashSet::new();
        for whole in [tar, disk] {
            let id = DiffId::of(&whole);
            let mut again = Vec::new();
            rebuild(repo.open_recipe(&id).unwrap(), &repo.contents(), &mut again).unwrap();
            assert!(again == whole);
            repo.recipe_contents(&id, &mut |id| {
                needed.insert(id);
                Ok(())
            })
            .unwrap();
        }
        // The file; the list of the disk's files; its two windows and their list.
        assert_eq!(needed.len() as u64, committed.new_contents);
        assert!(needed.contains(&crate::id::ContentId::of(&file)));
    }
}
