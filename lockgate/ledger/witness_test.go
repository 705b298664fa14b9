package ledger_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"github.com/ursa-virtual/ursa/lockgate/ledger"
)

// witness cosigns what has grown out of what it saw before (C2SP tlog-witness).
type witness struct {
	log    note.Verifier
	origin string
	signer *fnote.Signer

	mu    sync.Mutex
	size  uint64
	root  []byte
	mute  bool // answers nothing
	asked int
}

func (w *witness) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil || w.mute || r.URL.Path != "/add-checkpoint" {
		http.Error(out, "no", http.StatusServiceUnavailable)
		return
	}
	head, raw, ok := bytes.Cut(body, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	var old uint64
	if _, err := fmt.Sscanf(lines[0], "old %d", &old); err != nil || !ok {
		http.Error(out, "not a request", http.StatusBadRequest)
		return
	}
	cp, _, n, err := log.ParseCheckpoint(raw, w.origin, w.log)
	switch {
	case err != nil:
		http.Error(out, "not the log's", http.StatusForbidden)
		return
	case old != w.size:
		out.Header().Set("Content-Type", "text/x.tlog.size")
		out.WriteHeader(http.StatusConflict)
		_, _ = fmt.Fprintf(out, "%d\n", w.size)
		return
	}
	var hashes [][]byte
	for _, l := range lines[1:] {
		h, err := base64.StdEncoding.DecodeString(l)
		if err != nil {
			http.Error(out, "not a proof", http.StatusBadRequest)
			return
		}
		hashes = append(hashes, h)
	}
	if old > 0 && proof.VerifyConsistency(rfc6962.DefaultHasher, old, cp.Size, hashes, w.root, cp.Hash) != nil {
		http.Error(out, "not grown out of what was seen", http.StatusUnprocessableEntity)
		return
	}
	signed, err := note.Sign(&note.Note{Text: n.Text}, w.signer)
	if err != nil {
		http.Error(out, "cannot sign", http.StatusInternalServerError)
		return
	}
	w.size, w.root = cp.Size, cp.Hash
	_, _ = out.Write(signed[len(n.Text)+1:])
}

func (w *witness) silent(on bool) { w.mu.Lock(); w.mute = on; w.mu.Unlock() }

// newWitness serves one and returns its line of a policy.
func newWitness(t *testing.T, name string, k *ledger.Key) (*witness, string) {
	t.Helper()
	skey, vkey, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		t.Fatal(err)
	}
	w := &witness{origin: k.Verifier().Origin}
	if w.signer, err = fnote.NewSignerForCosignatureV1(skey); err != nil {
		t.Fatal(err)
	}
	if w.log, err = note.NewVerifier(k.Verifier().Ed25519); err != nil {
		t.Fatal(err)
	}
	cosigner, err := fnote.VKeyToCosignatureV1(vkey)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(w)
	t.Cleanup(srv.Close)
	return w, fmt.Sprintf("witness %s %s %s\n", strings.ReplaceAll(name, ".", "-"), cosigner, srv.URL)
}

// TestWitnesses: nothing is published without two of three witnesses, and with
// them it is, as soon as they answer.
func TestWitnesses(t *testing.T) {
	k, src := newKey(t), &list{}
	policy := ""
	var all []*witness
	for _, name := range []string{"a.test", "b.test", "c.test"} {
		w, line := newWitness(t, name, k)
		all = append(all, w)
		policy += line
	}
	witnesses, err := ledger.ParseWitnesses([]byte(policy + "group g 2 a-test b-test c-test\nquorum g\n"))
	if err != nil {
		t.Fatal(err)
	}
	all[0].silent(true)
	l, err := ledger.OpenLog(t.Context(), ledger.LogConfig{Dir: t.TempDir(), Key: k, Source: src, Witnesses: witnesses})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	src.append(3)
	await(t, l, 2)
	cp, err := l.Checkpoint(t.Context())
	if err != nil || !witnesses.Satisfied(cp.Raw) || cp.Size < 3 {
		t.Fatalf("%v, %d leaves", err, cp.Size)
	}
	all[1].silent(true) // one of three is left
	src.append(2)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := l.Await(ctx, 4); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("published with one witness: %v", err)
	}
	all[0].silent(false)
	await(t, l, 4)
	if i, err := l.Inclusion(t.Context(), 4); err != nil {
		t.Error(err)
	} else if _, err := i.Verify([]byte("leaf 4"), k.Verifier()); err != nil {
		t.Error(err)
	}
}

// TestNoWitnessAtTheBeginning: a new log whose witnesses do not answer is opened,
// and publishes nothing, however many leaves it gets at once, until they do.
func TestNoWitnessAtTheBeginning(t *testing.T) {
	k, src, dir := newKey(t), &list{}, t.TempDir()
	w, line := newWitness(t, "a.test", k)
	w.silent(true)
	witnesses, err := ledger.ParseWitnesses([]byte(line + "group g 1 a-test\nquorum g\n"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.OpenLog(t.Context(), ledger.LogConfig{Dir: dir, Key: k, Source: src, Witnesses: witnesses})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	for range 9 { // portions of every width
		src.append(511)
		size, err := src.Size(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Integrated(t.Context(), size-1); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(150 * time.Millisecond)
	if cp, err := l.Checkpoint(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("%d leaves are published without a witness, %v", cp.Size, err)
	}
	w.silent(false)
	await(t, l, 9*511-1)
	if cp, err := l.Checkpoint(t.Context()); err != nil || !witnesses.Satisfied(cp.Raw) {
		t.Fatal(err)
	}
}

// TestCosignatures: what a reader asks of a checkpoint, whichever way it names the witnesses.
func TestCosignatures(t *testing.T) {
	k, src := newKey(t), &list{}
	l := openLog(t, t.TempDir(), k, src)
	src.append(3)
	await(t, l, 2)
	cp, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	var lines [][]byte // of cosignatures
	sign := func(skey string) []byte {
		s, err := fnote.NewSignerForCosignatureV1(skey)
		if err != nil {
			t.Fatal(err)
		}
		text := cp.Raw[:bytes.Index(cp.Raw, []byte("\n\n"))+1]
		signed, err := note.Sign(&note.Note{Text: string(text)}, s)
		if err != nil {
			t.Fatal(err)
		}
		return signed[len(text)+1:]
	}
	for _, name := range []string{"a.test", "b.test"} {
		skey, vkey, err := note.GenerateKey(rand.Reader, name)
		if err != nil {
			t.Fatal(err)
		}
		keys, lines = append(keys, vkey), append(lines, sign(skey))
	}
	skey, vkey, err := fnote.GenerateMLDSAKey("c.test")
	if err != nil {
		t.Fatal(err)
	}
	keys, lines = append(keys, vkey), append(lines, sign(skey))
	file, err := ledger.ParseCosigners(fmt.Appendf(nil, "witness a %s # without an address\nwitness b %s\nwitness c %s https://c.test\ngroup g 2 a b c\nquorum g\n", keys[0], keys[1], keys[2]))
	if err != nil {
		t.Fatal(err)
	}
	all, err := ledger.CosignerKeys(keys...)
	if err != nil {
		t.Fatal(err)
	}
	forged := slices.Clone(lines[1]) // one bit of the signature, not of the line's form
	head := len("\u2014 b.test ")
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(forged[head:])))
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-1] ^= 1
	forged = fmt.Appendf(nil, "\u2014 b.test %s\n", base64.StdEncoding.EncodeToString(raw))
	with := func(more ...[]byte) []byte { return append(slices.Clone(cp.Raw), bytes.Join(more, nil)...) }
	for _, tt := range []struct {
		name      string
		note      []byte
		two, each error
	}{
		{"nobody", with(), ledger.ErrUncosigned, ledger.ErrUncosigned},
		{"one", with(lines[0]), ledger.ErrUncosigned, ledger.ErrUncosigned},
		{"one twice", with(lines[0], lines[0]), ledger.ErrUncosigned, ledger.ErrUncosigned},
		{"two", with(lines[0], lines[2]), nil, ledger.ErrUncosigned},
		{"three", with(lines[2], lines[1], lines[0]), nil, nil},
		{"a false one beside enough", with(lines[0], forged, lines[2]), ledger.ErrCosignature, ledger.ErrCosignature},
		{"no note", []byte("x"), ledger.ErrUncosigned, ledger.ErrUncosigned},
	} {
		if err := file.Check(tt.note); !errors.Is(err, tt.two) {
			t.Errorf("%s, two of three: %v", tt.name, err)
		}
		if err := all.Check(tt.note); !errors.Is(err, tt.each) {
			t.Errorf("%s, each: %v", tt.name, err)
		}
	}
	if err := (*ledger.Witnesses)(nil).Check(nil); err != nil {
		t.Error("nobody was asked for:", err)
	}
	if own, err := ledger.CosignerKeys(k.Verifier().MLDSA); err != nil || !errors.Is(own.Of(k.Verifier()), ledger.ErrWitnesses) || all.Of(k.Verifier()) != nil {
		t.Error("the log was taken as its own witness:", err)
	}
	if _, err := ledger.ParseCosigners(fmt.Appendf(nil, "witness a %s\nwitness b %s\ngroup g 2 a b\nquorum g\n", keys[0], keys[0])); !errors.Is(err, ledger.ErrWitnesses) {
		t.Error("one key under two names:", err)
	}
	name, _, _ := strings.Cut(keys[2], "+")
	for _, bad := range [][]string{nil, {"x"}, {keys[0], keys[0]}, {name + "+00000000" + keys[2][len(name)+9:]}} {
		if _, err := ledger.CosignerKeys(bad...); err == nil {
			t.Errorf("%.40v was taken", bad)
		}
	}
}

func TestWitnessFiles(t *testing.T) {
	for _, text := range []string{"", "quorum none\n", "witness a b c\nquorum a\n", "quorum x\n", "nonsense\n"} {
		if _, err := ledger.ParseWitnesses([]byte(text)); !errors.Is(err, ledger.ErrWitnesses) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// FuzzParseWitnesses: no bytes panic.
func FuzzParseWitnesses(f *testing.F) {
	f.Add([]byte("witness a ledger.test+0 https://a.test\ngroup g 1 a\nquorum g\n"))
	f.Add([]byte("quorum none\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if w, err := ledger.ParseWitnesses(b); (w == nil) == (err == nil) {
			t.Error(w, err)
		}
		if w, err := ledger.ParseCosigners(b); (w == nil) == (err == nil) || err == nil && w.Check(b) == nil {
			t.Error(w, err)
		}
	})
}
