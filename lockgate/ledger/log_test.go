package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	fnote "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/client"
	"golang.org/x/mod/sumdb/note"

	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/store"
)

// list is a source in memory.
type list struct {
	mu     sync.Mutex
	leaves [][]byte
}

func (l *list) append(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range n {
		l.leaves = append(l.leaves, fmt.Appendf(nil, "leaf %d", len(l.leaves)))
	}
}

func (l *list) Size(context.Context) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.leaves)), nil
}

func (l *list) Data(_ context.Context, from, to uint64) ([][]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if to > uint64(len(l.leaves)) || from >= to {
		return nil, store.ErrRange
	}
	return l.leaves[from:to], nil
}

func newKey(t testing.TB) *ledger.Key {
	t.Helper()
	k, err := ledger.NewKey("ledger.test/gate")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func openLog(t testing.TB, dir string, k *ledger.Key, s ledger.Source) *ledger.Log {
	t.Helper()
	l, err := ledger.OpenLog(t.Context(), ledger.LogConfig{Dir: dir, Key: k, Source: s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// await waits for a leaf, with a limit that only a broken log reaches.
func await(t testing.TB, l *ledger.Log, index uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := l.Await(ctx, index); err != nil {
		t.Fatal(err)
	}
}

func TestLeavesArePublishedInOrder(t *testing.T) {
	s, k, dir := &list{}, newKey(t), t.TempDir()
	l := openLog(t, dir, k, s)
	s.append(3)
	await(t, l, 2)
	first, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.append(300) // over the end of a tile
	if err := l.Integrated(t.Context(), 302); err != nil {
		t.Fatal(err)
	}
	await(t, l, 302)
	for _, i := range []uint64{0, 2, 255, 256, 302} {
		inc, err := l.Inclusion(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		if cp, err := inc.Verify(s.leaves[i], k.Verifier()); err != nil || cp.Size != 303 {
			t.Errorf("leaf %d: %v, size %d", i, err, cp.Size)
		}
		if _, err := inc.Verify([]byte("another leaf"), k.Verifier()); !errors.Is(err, ledger.ErrInclusion) {
			t.Errorf("another leaf at %d: %v", i, err)
		}
	}
	if _, err := l.Inclusion(t.Context(), 303); !errors.Is(err, ledger.ErrInclusion) {
		t.Error(err)
	}
	readers(t, dir, k, first)
}

// readers verifies the log with nothing but the public tools' packages, over
// HTTP as a stranger would.
func readers(t *testing.T, dir string, k *ledger.Key, first ledger.Checkpoint) {
	t.Helper()
	web := httptest.NewServer(ledger.Handler(dir))
	defer web.Close()
	u, err := url.Parse(web.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	f, err := client.NewHTTPFetcher(u, web.Client())
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]func() (note.Verifier, error){
		"Ed25519":   func() (note.Verifier, error) { return note.NewVerifier(k.Verifier().Ed25519) },
		"ML-DSA-44": func() (note.Verifier, error) { return fnote.NewMLDSAVerifier(k.Verifier().MLDSA) },
	} {
		verifier, err := v()
		if err != nil {
			t.Fatal(err)
		}
		cp, _, _, err := client.FetchCheckpoint(t.Context(), f.ReadCheckpoint, verifier, k.Verifier().Origin)
		if err != nil || cp.Size != 303 {
			t.Fatalf("%s: %v", name, err)
		}
		b, err := client.NewProofBuilder(t.Context(), cp.Size, f.ReadTile)
		if err != nil {
			t.Fatal(err)
		}
		hashes, err := b.ConsistencyProof(t.Context(), first.Size, cp.Size)
		if err != nil {
			t.Fatal(err)
		}
		if err := proof.VerifyConsistency(rfc6962.DefaultHasher, first.Size, cp.Size, hashes, first.Root[:], cp.Hash); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, hidden := range []string{"/.state/treeState", "/.state", "/", "/tile/../.state/treeState"} {
		res, err := web.Client().Get(web.URL + hidden)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != 404 {
			t.Errorf("%s is shown: %d", hidden, res.StatusCode)
		}
	}
}

func TestReopenedLogGoesOn(t *testing.T) {
	s, k, dir := &list{}, newKey(t), t.TempDir()
	l := openLog(t, dir, k, s)
	s.append(5)
	await(t, l, 4)
	_ = l.Close()
	s.append(2) // while nobody carries them over
	l = openLog(t, dir, k, s)
	await(t, l, 6)
	if cp, err := l.Checkpoint(t.Context()); err != nil || cp.Size != 7 {
		t.Fatalf("size %d, %v", cp.Size, err)
	}
}

// TestOlderOrOtherStoreIsRefused: yesterday's store, or one with another
// history, does not get past the ledger.
func TestOlderOrOtherStoreIsRefused(t *testing.T) {
	s, k, dir := &list{}, newKey(t), t.TempDir()
	l := openLog(t, dir, k, s)
	s.append(5)
	await(t, l, 4)
	_ = l.Close()
	open := func(src ledger.Source) error {
		l, err := ledger.OpenLog(t.Context(), ledger.LogConfig{Dir: dir, Key: k, Source: src})
		if err == nil {
			_ = l.Close()
		}
		return err
	}
	if err := open(&list{leaves: s.leaves[:4]}); !errors.Is(err, ledger.ErrRolledBack) {
		t.Errorf("yesterday's: %v", err)
	}
	other := append([][]byte{[]byte("another beginning")}, s.leaves[1:]...)
	if err := open(&list{leaves: other}); !errors.Is(err, ledger.ErrDiverged) {
		t.Errorf("another history: %v", err)
	}
	if err := open(s); err != nil {
		t.Errorf("today's: %v", err)
	}
}

func TestKeys(t *testing.T) {
	k := newKey(t)
	back, err := ledger.ParseKey(k.Encode())
	if err != nil || back.Verifier() != k.Verifier() {
		t.Fatal(err)
	}
	if s := fmt.Sprintf("%v %+v %#v %s", k, k, k, k); strings.Contains(s, "PRIVATE") {
		t.Error("the key shows itself: ", s)
	}
	for i, b := range [][]byte{nil, []byte("x"), bytes.Replace(k.Encode(), []byte("PRIVATE"), []byte("PUBLIC"), 1),
		append(bytes.Join(bytes.Split(newKey(t).Encode(), []byte("\n"))[:1], nil), k.Encode()[bytes.IndexByte(k.Encode(), '\n'):]...)} {
		if _, err := ledger.ParseKey(b); !errors.Is(err, ledger.ErrKey) {
			t.Errorf("%d: %v", i, err)
		}
	}
	for _, origin := range []string{"", "a b", "a+b", strings.Repeat("x", 200)} {
		if _, err := ledger.NewKey(origin); !errors.Is(err, ledger.ErrOrigin) {
			t.Errorf("%q: %v", origin, err)
		}
	}
}

func TestForgedCheckpoints(t *testing.T) {
	s, k, dir := &list{}, newKey(t), t.TempDir()
	l := openLog(t, dir, k, s)
	s.append(1)
	await(t, l, 0)
	raw, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Verifier().Open(raw); err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(raw), "\n")
	for name, bad := range map[string]string{
		"one signature":        strings.Join(lines[:len(lines)-2], ""),
		"another size":         strings.Replace(string(raw), "\n1\n", "\n2\n", 1),
		"another origin":       strings.Replace(string(raw), "ledger.test/gate\n", "ledger.test/gatf\n", 1),
		"nothing":              "",
		"signed by a stranger": string(raw),
	} {
		v := k.Verifier()
		if name == "signed by a stranger" {
			v = newKey(t).Verifier()
		}
		if _, err := v.Open([]byte(bad)); !errors.Is(err, ledger.ErrCheckpoint) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLogConfigIsChecked(t *testing.T) {
	if _, err := ledger.OpenLog(t.Context(), ledger.LogConfig{}); !errors.Is(err, ledger.ErrLogConfig) {
		t.Fatal(err)
	}
}
