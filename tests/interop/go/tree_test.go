package interop

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"

	tproof "github.com/transparency-dev/formats/proof"
	mproof "github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/tlog"
)

// tileHeight is the height of tiles in C2SP's tlog-tiles; sumdb/tlog writes it into paths.
const tileHeight = 8

type inclusion struct {
	Index, Size int64
	Leaf, Root  string
	Proof       []string
}

type consistency struct {
	Old, New         int64
	OldRoot, NewRoot string
	Proof            []string
}

func proofs(t testing.TB) (file struct {
	Inclusion   []inclusion
	Consistency []consistency
}) {
	t.Helper()
	readJSON(t, "proofs.json", &file)
	if len(file.Inclusion) < 150 || len(file.Consistency) < 150 {
		t.Fatalf("only %d and %d proofs", len(file.Inclusion), len(file.Consistency))
	}
	return file
}

func hashes(t testing.TB, texts []string) []tlog.Hash {
	t.Helper()
	list := make([]tlog.Hash, len(texts))
	for i, text := range texts {
		list[i] = hash(t, text)
	}
	return list
}

// included asks both libraries. They must agree.
func included(index, size int64, leaf tlog.Hash, list []tlog.Hash, root tlog.Hash) error {
	sumdb := tlog.CheckRecord(list, size, root, index, leaf)
	merkle := mproof.VerifyInclusion(rfc6962.DefaultHasher, uint64(index), uint64(size), leaf[:], slices(list), root[:])
	if (sumdb == nil) != (merkle == nil) {
		panic(fmt.Sprintf("sumdb says %v, merkle says %v", sumdb, merkle))
	}
	return merkle
}

// extends asks both libraries. They must agree.
func extends(old, new int64, oldRoot, newRoot tlog.Hash, list []tlog.Hash) error {
	sumdb := tlog.CheckTree(list, new, newRoot, old, oldRoot)
	merkle := mproof.VerifyConsistency(rfc6962.DefaultHasher, uint64(old), uint64(new), slices(list), oldRoot[:], newRoot[:])
	if (sumdb == nil) != (merkle == nil) {
		panic(fmt.Sprintf("sumdb says %v, merkle says %v", sumdb, merkle))
	}
	return merkle
}

func TestInclusionProofsHoldInBothLibrariesAndFlippedOnesDoNot(t *testing.T) {
	for _, it := range proofs(t).Inclusion {
		leaf, root, list := hash(t, it.Leaf), hash(t, it.Root), hashes(t, it.Proof)
		check(t, included(it.Index, it.Size, leaf, list, root))
		place := int(it.Index) % 32
		for i := range list {
			changed := append([]tlog.Hash(nil), list...)
			changed[i][place] ^= 1 << (i % 8)
			if included(it.Index, it.Size, leaf, changed, root) == nil {
				t.Errorf("%d of %d: hash %d changed, and it holds", it.Index, it.Size, i)
			}
		}
		leaf[place] ^= 1
		if included(it.Index, it.Size, leaf, list, root) == nil {
			t.Errorf("%d of %d: another leaf, and it holds", it.Index, it.Size)
		}
		if other := (it.Index + 1) % it.Size; other != it.Index && included(other, it.Size, hash(t, it.Leaf), list, root) == nil {
			t.Errorf("%d of %d: another place, and it holds", it.Index, it.Size)
		}
	}
}

func TestConsistencyProofsHoldInBothLibrariesAndFlippedOnesDoNot(t *testing.T) {
	for _, it := range proofs(t).Consistency {
		oldRoot, newRoot, list := hash(t, it.OldRoot), hash(t, it.NewRoot), hashes(t, it.Proof)
		check(t, extends(it.Old, it.New, oldRoot, newRoot, list))
		for i := range list {
			changed := append([]tlog.Hash(nil), list...)
			changed[i][i%32] ^= 1 << (i % 8)
			if extends(it.Old, it.New, oldRoot, newRoot, changed) == nil {
				t.Errorf("%d to %d: hash %d changed, and it holds", it.Old, it.New, i)
			}
		}
		oldRoot[int(it.New)%32] ^= 1
		if extends(it.Old, it.New, oldRoot, newRoot, list) == nil {
			t.Errorf("%d to %d: another old root, and it holds", it.Old, it.New)
		}
	}
}

// files reads tiles from our folder, under sumdb's paths, and lets a test change them.
type files struct {
	t      testing.TB
	change func(tile tlog.Tile, data []byte)
}

func (f files) Height() int                         { return tileHeight }
func (f files) SaveTiles(_ []tlog.Tile, _ [][]byte) {}

func (f files) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	all := make([][]byte, len(tiles))
	for i, tile := range tiles {
		// The library may ask for a part of a tile, of which the log keeps the whole.
		whole := tile
		whole.W = min(1<<tileHeight, int(int64(size)>>(tileHeight*tile.L)-tile.N<<tileHeight))
		data := read(f.t, ours(whole))
		if f.change != nil {
			f.change(tile, data)
		}
		all[i] = data[:tile.W*tlog.HashSize]
	}
	return all, nil
}

// ours is the path in tlog-tiles of what sumdb calls tile/8/….
func ours(tile tlog.Tile) string {
	rest := strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", tileHeight))
	return "tile/" + strings.Replace(rest, "data/", "entries/", 1)
}

func tree(t testing.TB) tlog.Tree {
	t.Helper()
	_, log, witness := keys(t)
	opened, _, err := checkpoint(read(t, "checkpoint"), log, witness)
	check(t, err)
	root := tlog.Tree{N: int64(opened.Size)}
	copy(root.Hash[:], opened.Hash)
	return root
}

// leaves reads every leaf through the tiles, each held against the root of the checkpoint.
func leaves(t testing.TB, reader files) ([]tlog.Hash, error) {
	t.Helper()
	indexes := make([]int64, size)
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(0, int64(i))
	}
	return tlog.TileHashReader(tree(t), reader).ReadHashes(indexes)
}

// entries reads the bundles of entries that stand under the tiles.
func entries(t testing.TB) [][]byte {
	t.Helper()
	var all [][]byte
	for n := int64(0); n<<tileHeight < size; n++ {
		width := min(1<<tileHeight, size-int(n)<<tileHeight)
		data := read(t, ours(tlog.Tile{H: tileHeight, L: -1, N: n, W: width}))
		for len(data) > 0 {
			length := 2 + int(binary.BigEndian.Uint16(data))
			all = append(all, data[2:length])
			data = data[length:]
		}
	}
	return all
}

func TestTheTilesLeadToTheRootAndTheEntriesToTheTiles(t *testing.T) {
	found, err := leaves(t, files{t: t})
	check(t, err)
	all := entries(t)
	if len(all) != size {
		t.Fatalf("%d entries", len(all))
	}
	for i, entry := range all {
		if tlog.RecordHash(entry) != found[i] {
			t.Errorf("entry %d is not its leaf", i)
		}
	}
}

func TestTheTilesThatTheLibraryWouldPublishAreThere(t *testing.T) {
	count := 0
	for _, tile := range tlog.NewTiles(tileHeight, 0, size) {
		if data := read(t, ours(tile)); len(data) != tile.W*tlog.HashSize {
			t.Errorf("%s has %d bytes", ours(tile), len(data))
		}
		count++
	}
	if count != 4 {
		t.Errorf("%d tiles", count)
	}
}

func TestAFlippedBitOfATileIsRefused(t *testing.T) {
	for _, wanted := range tlog.NewTiles(tileHeight, 0, size) {
		for bit := 0; bit < wanted.W*tlog.HashSize*8; bit += step * 31 {
			_, err := leaves(t, files{t: t, change: func(tile tlog.Tile, data []byte) {
				if tile.L == wanted.L && tile.N == wanted.N {
					data[bit/8] ^= 1 << (bit % 8)
				}
			}})
			if err == nil {
				t.Fatalf("%s: bit %d flipped, and it is read", ours(wanted), bit)
			}
		}
	}
}

func TestPathsAreSpeltAlike(t *testing.T) {
	var rows []struct {
		Level, Width  int
		Index         int64
		Path, Entries string
	}
	readJSON(t, "paths.json", &rows)
	for _, row := range rows {
		hashes := tlog.Tile{H: tileHeight, L: row.Level, N: row.Index, W: row.Width}
		data := tlog.Tile{H: tileHeight, L: -1, N: row.Index, W: row.Width}
		if ours(hashes) != "tile/"+row.Path || ours(data) != "tile/"+row.Entries {
			t.Errorf("%s and %s, not %s and %s", row.Path, row.Entries, ours(hashes), ours(data))
		}
	}
}

// proved verifies a tlog-proof file of the entry at a place of the log.
func proved(t testing.TB, data []byte, all [][]byte) (string, error) {
	var file tproof.TLogProof
	if err := file.Unmarshal(data); err != nil {
		return "", err
	}
	_, log, witness := keys(t)
	opened, _, err := checkpoint(file.Checkpoint, log, witness)
	if err != nil {
		return "", err
	}
	if file.Index >= uint64(len(all)) {
		return "", errorf("no entry %d", file.Index)
	}
	list := make([]tlog.Hash, len(file.Hashes))
	for i := range list {
		list[i] = file.Hashes[i]
	}
	var root tlog.Hash
	copy(root[:], opened.Hash)
	leaf := tlog.RecordHash(all[file.Index])
	return fmt.Sprint(file.Index, opened), included(int64(file.Index), int64(opened.Size), leaf, list, root)
}

func TestEveryTlogProofHoldsAndIsSpeltAlike(t *testing.T) {
	found, err := os.ReadDir(path(t, "tlog-proofs"))
	check(t, err)
	if len(found) != 15 {
		t.Fatalf("%d proofs", len(found))
	}
	all := entries(t)
	for _, entry := range found {
		data := read(t, "tlog-proofs/"+entry.Name())
		_, err := proved(t, data, all)
		check(t, err)
		var file tproof.TLogProof
		check(t, file.Unmarshal(data))
		if string(file.Marshal()) != string(data) {
			t.Errorf("%s: written as %q", entry.Name(), file.Marshal())
		}
	}
}

func TestAFlippedBitOfATlogProofIsRefused(t *testing.T) {
	all := entries(t)
	flips(t, read(t, "tlog-proofs/paid-17.tlog-proof"), 3, func(data []byte) (string, error) {
		return proved(t, data, all)
	})
}
