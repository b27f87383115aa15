package interop

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	flog "github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/formats/witness"
	"golang.org/x/mod/sumdb/note"
)

// checkpoint opens a checkpoint that the log and the witness have signed.
func checkpoint(data []byte, log, witness note.Verifier) (*flog.Checkpoint, *note.Note, error) {
	opened, rest, signed, err := flog.ParseCheckpoint(data, origin, log, witness)
	if err != nil {
		return nil, nil, err
	}
	if len(rest) != 0 || len(signed.Sigs) != 2 || len(signed.UnverifiedSigs) != 0 {
		return nil, nil, errorf("signed by %d, not by the log and the witness alone", len(signed.Sigs))
	}
	return opened, signed, nil
}

func TestSumdbNoteOpensEveryCheckpoint(t *testing.T) {
	_, log, _ := keys(t)
	old, err := os.ReadDir(path(t, "old"))
	check(t, err)
	names := []string{"checkpoint"}
	for _, entry := range old {
		names = append(names, "old/"+entry.Name())
	}
	if len(names) != 9 {
		t.Fatalf("%d checkpoints", len(names))
	}
	for _, name := range names {
		opened, err := note.Open(read(t, name), note.VerifierList(log))
		check(t, err)
		if len(opened.Sigs) != 1 || len(opened.UnverifiedSigs) != 1 || !strings.HasPrefix(opened.Text, origin+"\n") {
			t.Errorf("%s: %d signatures, %q", name, len(opened.Sigs), opened.Text)
		}
	}
}

func TestTheWitnessHasCosignedAtThatTime(t *testing.T) {
	file, log, witness := keys(t)
	opened, signed, err := checkpoint(read(t, "checkpoint"), log, witness)
	check(t, err)
	if opened.Size != size {
		t.Errorf("size %d", opened.Size)
	}
	at, err := fnote.CoSigV1Timestamp(signed.Sigs[1])
	check(t, err)
	if at.Unix() != file.Time {
		t.Errorf("cosigned at %d, not %d", at.Unix(), file.Time)
	}
	if string(opened.Marshal()) != signed.Text {
		t.Errorf("another spelling of %q", signed.Text)
	}
}

func TestVerifierKeysAreSpeltAlike(t *testing.T) {
	file, log, witness := keys(t)
	if log.Name() != origin || witness.Name() != "witness.example/w1" {
		t.Errorf("names %s and %s", log.Name(), witness.Name())
	}
	// formats makes a cosigner's key of a signer's: the key of our log, in the other role.
	cosigner, err := fnote.VKeyToCosignatureV1(file.Log)
	check(t, err)
	for _, key := range []string{file.Log, file.Witness, cosigner} {
		_, err := fnote.NewVerifier(key)
		check(t, err)
	}
}

// Ed25519 signatures are a function of key and text: the same key makes the same bytes.
func TestSumdbNoteSignsTheSameCheckpoint(t *testing.T) {
	file, log, _ := keys(t)
	seed, err := hex.DecodeString(file.LogSeed)
	check(t, err)
	secret := append([]byte{1}, seed...)
	signer, err := note.NewSigner(fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", origin, log.KeyHash(), base64.StdEncoding.EncodeToString(secret)))
	check(t, err)
	ours := read(t, "checkpoint")
	opened, err := note.Open(ours, note.VerifierList(log))
	check(t, err)
	signed, err := note.Sign(&note.Note{Text: opened.Text}, signer)
	check(t, err)
	if !strings.HasPrefix(string(ours), string(signed)) {
		t.Errorf("signed %q, ours is %q", signed, ours)
	}
}

func TestThePolicyOfTheTrustRootIsSatisfied(t *testing.T) {
	policy, err := witness.ParsePolicy(read(t, "policy"))
	check(t, err)
	ours := string(read(t, "checkpoint"))
	if !policy.Satisfied([]byte(ours)) {
		t.Error("the witness has cosigned, and the policy is not satisfied")
	}
	lines := strings.SplitAfter(ours, "\n")
	if policy.Satisfied([]byte(strings.Join(lines[:len(lines)-2], ""))) {
		t.Error("no witness has cosigned, and the policy is satisfied")
	}
}

func TestAFlippedBitOfACheckpointIsRefused(t *testing.T) {
	_, log, witness := keys(t)
	flips(t, read(t, "checkpoint"), 1, func(data []byte) (string, error) {
		opened, _, err := checkpoint(data, log, witness)
		if err != nil {
			return "", err
		}
		return string(opened.Marshal()), nil
	})
}
