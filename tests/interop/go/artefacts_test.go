// Package interop verifies our log's artefacts with other people's libraries, and makes some for ours.
package interop

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	origin = "simulated.poa/00ff"
	// Entries of the log.
	size = 700
	// Bits between two flips in what is long. Coprime to 8, so that all places of a byte are met.
	step = 89
)

type keyFile struct {
	Log     string `json:"log"`
	LogSeed string `json:"logSeed"`
	Witness string `json:"witness"`
	Time    int64  `json:"time"`
}

// path is where an artefact stands.
func path(t testing.TB, name string) string {
	t.Helper()
	folder := os.Getenv("POA_INTEROP_ARTEFACTS")
	if folder == "" {
		t.Fatal("POA_INTEROP_ARTEFACTS names no folder: run `make interop`")
	}
	return filepath.Join(folder, name)
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(path(t, name))
	check(t, err)
	return data
}

func readJSON(t testing.TB, name string, into any) {
	t.Helper()
	check(t, json.Unmarshal(read(t, name), into))
}

func keys(t testing.TB) (file keyFile, log, witness note.Verifier) {
	t.Helper()
	readJSON(t, "keys.json", &file)
	log, err := note.NewVerifier(file.Log)
	check(t, err)
	witness, err = fnote.NewVerifierForCosignatureV1(file.Witness)
	check(t, err)
	return file, log, witness
}

func hash(t testing.TB, text string) (h tlog.Hash) {
	t.Helper()
	data, err := hex.DecodeString(text)
	check(t, err)
	if copy(h[:], data) != len(data) || len(data) != len(h) {
		t.Fatalf("%q is no hash", text)
	}
	return h
}

func slices(hashes []tlog.Hash) [][]byte {
	list := make([][]byte, len(hashes))
	for i := range hashes {
		list[i] = hashes[i][:]
	}
	return list
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// flips judges data with each of its bits flipped, every step bits: judge answers with what it found, or why it refuses. What is
// found must be what the data itself says.
func flips(t *testing.T, data []byte, step int, judge func([]byte) (string, error)) {
	t.Helper()
	genuine, err := judge(data)
	check(t, err)
	refused, flipped := 0, 0
	for bit := 0; bit < len(data)*8; bit += step {
		changed := append([]byte(nil), data...)
		changed[bit/8] ^= 1 << (bit % 8)
		flipped++
		found, err := judge(changed)
		if err != nil {
			refused++
		} else if found != genuine {
			t.Fatalf("bit %d: found %s, not %s", bit, found, genuine)
		}
	}
	if refused*100 < flipped*97 {
		t.Fatalf("%d of %d refused", refused, flipped)
	}
}

func base64Of(h tlog.Hash) string { return base64.StdEncoding.EncodeToString(h[:]) }

func errorf(format string, arguments ...any) error { return fmt.Errorf(format, arguments...) }
