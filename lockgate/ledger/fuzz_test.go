package ledger_test

import (
	"bytes"
	"testing"

	"github.com/ursa-virtual/ursa/lockgate/ledger"
)

// FuzzCheckpoint: no checkpoint but those that both keys signed.
func FuzzCheckpoint(f *testing.F) {
	k, stranger := newKey(f), newKey(f)
	s := &list{}
	s.append(3)
	l := openLog(f, f.TempDir(), k, s)
	await(f, l, 2)
	cp, err := l.Checkpoint(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(cp.Raw)
	f.Add([]byte("ledger.test/gate\n3\nAAAA\n\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := k.Verifier().Open(b); err == nil && (got.Size != cp.Size || got.Root != cp.Root) {
			t.Fatal("a checkpoint that nobody signed")
		}
		if _, err := stranger.Verifier().Open(b); err == nil {
			t.Fatal("another key's checkpoint was taken")
		}
	})
}

// FuzzInclusion: no proof shows a leaf that is not there.
func FuzzInclusion(f *testing.F) {
	k, s := newKey(f), &list{}
	s.append(5)
	l := openLog(f, f.TempDir(), k, s)
	await(f, l, 4)
	inc, err := l.Inclusion(f.Context(), 2)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint64(2), bytes.Join(inc.Hashes, nil), []byte("leaf 2"))
	f.Add(uint64(0), []byte{}, []byte("leaf 2"))
	f.Add(uint64(1<<63), bytes.Repeat([]byte{1}, 3200), []byte{})
	f.Fuzz(func(t *testing.T, index uint64, hashes, leaf []byte) {
		x := ledger.Inclusion{Index: index, Checkpoint: inc.Checkpoint}
		for len(hashes) > 0 && len(x.Hashes) < 100 {
			n := min(32, len(hashes))
			x.Hashes, hashes = append(x.Hashes, hashes[:n]), hashes[n:]
		}
		if _, err := x.Verify(leaf, k.Verifier()); err == nil && (index >= 5 || string(leaf) != string(s.leaves[index])) {
			t.Fatalf("leaf %q is shown at %d", leaf, index)
		}
	})
}

// FuzzParseKey: what is taken for a key writes itself down as it was read.
func FuzzParseKey(f *testing.F) {
	f.Add(newKey(f).Encode())
	f.Add([]byte("\n\n\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := ledger.ParseKey(b); err == nil && !bytes.Equal(k.Encode(), b) {
			t.Fatal("two texts of one key")
		}
	})
}
