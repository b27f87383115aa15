package interop

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	flog "github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Sizes of the log that is made here, before and after.
const (
	foreignOld = 300
	foreignNew = 1000
)

// TestWritesALogForTheRustReader makes a log and a witness with these libraries alone. `interop read` verifies them with our crate.
func TestWritesALogForTheRustReader(t *testing.T) {
	const name = "foreign.example/log"
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			found[i] = stored[index]
		}
		return found, nil
	})
	entry := func(n int64) string { return fmt.Sprintf("entry %d", n) }
	for n := int64(0); n < foreignNew; n++ {
		added, err := tlog.StoredHashes(n, []byte(entry(n)), reader)
		check(t, err)
		stored = append(stored, added...)
	}
	secret, public, err := note.GenerateKey(rand.Reader, name)
	check(t, err)
	log, err := note.NewSigner(secret)
	check(t, err)
	secret, witnessPublic, err := note.GenerateKey(rand.Reader, "foreign.example/witness")
	check(t, err)
	cosigner, err := fnote.VKeyToCosignatureV1(witnessPublic)
	check(t, err)
	witness, err := fnote.NewSignerForCosignatureV1(secret)
	check(t, err)
	signed := func(size int64) string {
		root, err := tlog.TreeHash(size, reader)
		check(t, err)
		text := flog.Checkpoint{Origin: name, Size: uint64(size), Hash: root[:]}.Marshal()
		data, err := note.Sign(&note.Note{Text: string(text)}, log, witness)
		check(t, err)
		return string(data)
	}
	const index = 777
	old, new := signed(foreignOld), signed(foreignNew)
	inclusion, err := tlog.ProveRecord(foreignNew, index, reader)
	check(t, err)
	consistency, err := tlog.ProveTree(foreignNew, foreignOld, reader)
	check(t, err)
	data, err := json.MarshalIndent(map[string]any{
		"log":            public,
		"witness":        cosigner,
		"checkpoint":     new,
		"old":            old,
		"index":          index,
		"entry":          entry(index),
		"inclusion":      hexes(inclusion),
		"consistency":    hexes(consistency),
		"add_checkpoint": request(consistency, new),
	}, "", "  ")
	check(t, err)
	check(t, os.MkdirAll(path(t, "foreign"), 0o755))
	check(t, os.WriteFile(path(t, "foreign/foreign.json"), data, 0o644))
}

// request is what a log asks a witness (C2SP tlog-witness).
func request(proof []tlog.Hash, checkpoint string) string {
	var body strings.Builder
	fmt.Fprintf(&body, "old %d\n", foreignOld)
	for _, hash := range proof {
		fmt.Fprintln(&body, base64Of(hash))
	}
	return body.String() + "\n" + checkpoint
}

func hexes(hashes []tlog.Hash) []string {
	list := make([]string, len(hashes))
	for i := range hashes {
		list[i] = hex.EncodeToString(hashes[i][:])
	}
	return list
}
