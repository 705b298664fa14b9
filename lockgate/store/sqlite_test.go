package store_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/lockgate/store/storetest"
)

func open(t testing.TB, path string, opt store.Options) *store.SQL {
	t.Helper()
	s, err := store.OpenSQLite(context.Background(), path, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestSQLiteConforms(t *testing.T) {
	storetest.Run(t, func(t testing.TB) store.Store { return open(t, filepath.Join(t.TempDir(), "gate.db"), store.Options{}) })
}

// image copies the files as they lie on the disk at this moment: what a process
// that is killed now leaves behind.
func image(t testing.TB, path string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "image.db")
	for _, end := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + end)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(to+end, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

var errInjected = errors.New("injected fault")

// TestKilledAtEveryStep kills the gate at every step of a grant, opens what lies
// on the disk, and sends the request again.
func TestKilledAtEveryStep(t *testing.T) {
	ctx := context.Background()
	for _, step := range store.Steps() {
		t.Run(string(step), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "gate.db")
			images := []string{}
			armed := false
			s := open(t, path, store.Options{Fault: func(at store.Step) error {
				if armed && at == step {
					images = append(images, image(t, path))
				}
				return nil
			}})
			storetest.Enrol(t, s, 100)
			if _, err := s.Grant(ctx, storetest.Nth(1, 10)); err != nil {
				t.Fatal(err)
			}
			armed = true
			want, err := s.Grant(ctx, storetest.Nth(2, 10))
			if err != nil {
				t.Fatal(err)
			}
			if len(images) == 0 {
				t.Fatal("the step never happened")
			}
			for _, img := range images {
				after(t, open(t, img, store.Options{}), step == store.StepCommitted, want.Response)
			}
		})
	}
}

// after checks what a crash in the middle of the second grant left behind.
func after(t *testing.T, s *store.SQL, applied bool, want []byte) {
	t.Helper()
	ctx := context.Background()
	if err := s.Check(ctx); err != nil {
		t.Fatal(err)
	}
	a, err := s.Account(ctx, storetest.Core)
	if err != nil {
		t.Fatal(err)
	}
	if expect := map[bool]lock.Units{true: 20, false: 10}[applied]; a.Spent != expect {
		t.Fatalf("spent %d after the crash, want %d", a.Spent, expect)
	}
	g := storetest.Nth(2, 10)
	if applied {
		g.Response = []byte("a second verification made other bytes")
	}
	r, err := s.Grant(ctx, g)
	if err != nil || r.Repeated != applied || !bytes.Equal(r.Response, want) {
		t.Fatalf("retry: %v %+v", err, r)
	}
	if a, err = s.Account(ctx, storetest.Core); err != nil || a.Spent != 20 {
		t.Fatalf("spent %d after the retry, want 20 (%v)", a.Spent, err)
	}
	if err := s.Check(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestFaultsInPairs fails every write of a long run in turn: not applied, and
// applied but reported as failed. Every request is retried until it is answered.
func TestFaultsInPairs(t *testing.T) {
	ctx := context.Background()
	const seed = 20261121
	rng := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	faults := 0
	s := open(t, filepath.Join(t.TempDir(), "gate.db"), store.Options{Fault: func(store.Step) error {
		if rng.IntN(12) == 0 { // only the writer goroutine calls it
			faults++
			return errInjected
		}
		return nil
	}})
	for {
		if err := s.Enrol(ctx, store.Account{Core: storetest.Core, Chip: storetest.Chip, Tenant: "t", Platform: "sim",
			Public: []byte("pub"), Enabled: true, Budget: 1 << 40}); err == nil {
			break
		}
	}
	const n = 300
	for i := uint64(1); i <= n; i++ {
		var told []byte
		for try, answers := 0, 1+rng.IntN(2); answers > 0; try++ {
			g := storetest.Nth(i, 3)
			g.Response = fmt.Appendf(nil, "lease %d, try %d", i, try)
			r, err := s.Grant(ctx, g)
			if err != nil {
				if !errors.Is(err, errInjected) {
					t.Fatal(err)
				}
				continue
			}
			if told != nil && !bytes.Equal(told, r.Response) {
				t.Fatal("two answers to one request")
			}
			told = r.Response
			answers--
		}
	}
	a, err := s.Account(ctx, storetest.Core)
	if err != nil || a.Spent != 3*n || a.Granted != 3*n {
		t.Fatalf("spent %d, granted %d, want %d (%v)", a.Spent, a.Granted, 3*n, err)
	}
	if err := s.Check(ctx); err != nil {
		t.Fatal(err)
	}
	if faults < 100 {
		t.Fatalf("only %d faults: the hard cases did not happen", faults)
	}
}

// TestKilled is a real process killed with SIGKILL in the middle of its grants.
// What it had acknowledged on its standard output must be there, byte for byte.
func TestKilled(t *testing.T) {
	if path := os.Getenv("URSA_TEST_STORE_CHILD"); path != "" {
		child(t, path)
		return
	}
	path := filepath.Join(t.TempDir(), "gate.db")
	acked := uint64(0)
	for round := range 4 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), "URSA_TEST_STORE_CHILD="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for seen := 0; seen < 40+31*round && lines.Scan(); seen++ {
			if n, err := strconv.ParseUint(lines.Text(), 10, 64); err == nil {
				acked = max(acked, n)
			}
		}
		_ = cmd.Process.Kill()
		for lines.Scan() {
			if n, err := strconv.ParseUint(lines.Text(), 10, 64); err == nil {
				acked = max(acked, n)
			}
		}
		_ = cmd.Wait()
	}
	s := open(t, path, store.Options{})
	if err := s.Check(context.Background()); err != nil {
		t.Fatal(err)
	}
	if acked < 100 {
		t.Fatalf("only %d grants were acknowledged before the kills", acked)
	}
	for n := uint64(1); n <= acked; n++ {
		g := storetest.Nth(n, 1)
		r, ok, err := s.Lookup(context.Background(), g.Core, g.RequestID, g.RequestHash)
		if err != nil || !ok || !bytes.Equal(r.Response, g.Response) {
			t.Fatalf("grant %d was acknowledged and is lost: %v %v", n, ok, err)
		}
	}
	a, err := s.Account(context.Background(), storetest.Core)
	if err != nil || uint64(a.Spent) != a.LastSeq || a.LastSeq < acked || a.LastSeq > acked+1 {
		t.Fatalf("spent %d, last %d, acknowledged %d (%v)", a.Spent, a.LastSeq, acked, err)
	}
}

func child(t *testing.T, path string) {
	s := open(t, path, store.Options{})
	storetest.Enrol(t, s, 1<<40)
	a, err := s.Account(context.Background(), storetest.Core)
	if err != nil {
		t.Fatal(err)
	}
	for n, end := a.LastSeq+1, time.Now().Add(5*time.Minute); time.Now().Before(end); n++ {
		if _, err := s.Grant(context.Background(), storetest.Nth(n, 1)); err != nil {
			t.Fatal(err)
		}
		fmt.Println(n)
	}
}

func TestYesterdaysStoreIsRefused(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "gate.db")
	s := open(t, path, store.Options{})
	storetest.Enrol(t, s, 100)
	if _, err := s.Grant(ctx, storetest.Nth(1, 10)); err != nil {
		t.Fatal(err)
	}
	yesterday := image(t, path)
	if _, err := s.Grant(ctx, storetest.Nth(2, 10)); err != nil {
		t.Fatal(err)
	}
	seen, err := s.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	open(t, path, store.Options{Seen: seen}) // today's opens
	if _, err := store.OpenSQLite(ctx, yesterday, store.Options{Seen: seen}); !errors.Is(err, store.ErrRolledBack) {
		t.Fatal(err)
	}
	// A fork of yesterday with another leaf of the same index is no better.
	f := open(t, yesterday, store.Options{})
	other := storetest.Nth(2, 10)
	other.Leaf = []byte("another history")
	if _, err := f.Grant(ctx, other); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	if _, err := store.OpenSQLite(ctx, yesterday, store.Options{Seen: seen}); !errors.Is(err, store.ErrRolledBack) {
		t.Fatal(err)
	}
}

func TestSecondGateFencesTheFirst(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "gate.db")
	one := open(t, path, store.Options{})
	storetest.Enrol(t, one, 100)
	two := open(t, path, store.Options{})
	if _, err := one.Grant(ctx, storetest.Nth(1, 1)); !errors.Is(err, store.ErrFenced) {
		t.Fatal(err)
	}
	if _, err := two.Grant(ctx, storetest.Nth(1, 1)); err != nil {
		t.Fatal(err)
	}
}

func TestFullOrReadOnlyDisk(t *testing.T) {
	ctx := context.Background()
	s := open(t, filepath.Join(t.TempDir(), "gate.db"), store.Options{})
	storetest.Enrol(t, s, 1<<40)
	if err := s.Exec("PRAGMA max_page_count = 1"); err != nil { // the engine raises it to what is in use: full
		t.Fatal(err)
	}
	big := storetest.Nth(1, 5)
	big.Response = make([]byte, 1<<20)
	if _, err := s.Grant(ctx, big); err == nil {
		t.Fatal("granted on a full disk")
	}
	if err := s.Exec("PRAGMA max_page_count = 1000000"); err != nil {
		t.Fatal(err)
	}
	if err := s.Exec("PRAGMA query_only = 1"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Grant(ctx, storetest.Nth(1, 5)); err == nil {
		t.Fatal("granted on a read-only disk")
	}
	if err := s.Exec("PRAGMA query_only = 0"); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Grant(ctx, storetest.Nth(1, 5)); err != nil || r.Repeated {
		t.Fatalf("with room again: %v %+v", err, r)
	}
	if err := s.Check(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestFlippedBytes: whatever byte of the file rots, the store either refuses
// (to open, to check, to answer) or still gives exactly what it gave before.
func TestFlippedBytes(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "gate.db")
	s := open(t, path, store.Options{})
	storetest.Enrol(t, s, 100)
	if _, err := s.Grant(ctx, storetest.Nth(1, 10)); err != nil {
		t.Fatal(err)
	}
	seen, err := s.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close() // checkpoints the log into the file
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused, flips := 0, 250
	if testing.Short() {
		flips = 60
	}
	rng := rand.New(rand.NewPCG(6, 6))
	for i := range flips {
		b := bytes.Clone(whole)
		at := rng.IntN(len(b))
		b[at] ^= 1 << rng.IntN(8)
		rotten := filepath.Join(t.TempDir(), fmt.Sprint(i))
		if err := os.WriteFile(rotten, b, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := func() (store.Store, error) {
			return store.OpenSQLite(ctx, rotten, store.Options{Seen: seen})
		}()
		if err != nil {
			refused++
			continue
		}
		if r.Check(ctx) != nil {
			refused++
		} else if got, err := r.Grant(ctx, storetest.Nth(1, 10)); err == nil && (!got.Repeated || string(got.Response) != "lease 1") {
			t.Fatalf("byte %d: granted a second time: %+v", at, got)
		}
		_ = r.Close()
	}
	t.Logf("%d of %d refused", refused, flips)
}

func TestOpenErrors(t *testing.T) {
	ctx := context.Background()
	if _, err := store.OpenSQLite(ctx, filepath.Join(t.TempDir(), "no", "folder", "x.db"), store.Options{}); err == nil {
		t.Fatal("opened in a folder that is not there")
	}
	path := filepath.Join(t.TempDir(), "gate.db")
	s := open(t, path, store.Options{})
	_ = s.Close()
	if _, err := s.Grant(ctx, storetest.Nth(1, 1)); !errors.Is(err, store.ErrClosed) {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", st.Mode(), err)
	}
	s = open(t, path, store.Options{})
	if err := s.Exec("UPDATE meta SET v = 99 WHERE k = 'schema'"); err != nil {
		t.Fatal(err)
	}
	if _, err := store.OpenSQLite(ctx, path, store.Options{}); !errors.Is(err, store.ErrSchema) {
		t.Fatal(err)
	}
}

func BenchmarkGrant(b *testing.B) {
	for _, writers := range []int{1, 64, 256} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			s := open(b, filepath.Join(b.TempDir(), "gate.db"), store.Options{})
			work := make(chan uint64)
			done := make(chan error, writers)
			for w := range writers {
				core := [32]byte{0xb0, byte(w), byte(w >> 8)}
				if err := s.Enrol(b.Context(), store.Account{Core: core, Chip: core, Tenant: "t", Platform: "sim", Public: []byte("p"), Enabled: true, Budget: 1 << 50}); err != nil {
					b.Fatal(err)
				}
				go func() {
					seq := uint64(0)
					for n := range work {
						seq++
						g := storetest.Nth(seq, 1)
						g.Core, g.Chip = core, core
						g.Nonce[31], g.LockNonce[31] = 1, 1
						for i := range 8 {
							g.Nonce[16+i], g.LockNonce[16+i] = byte(n>>(8*i)), byte(n>>(8*i))
						}
						g.Response = make([]byte, 4096)
						if _, err := s.Grant(b.Context(), g); err != nil {
							done <- err
							return
						}
					}
					done <- nil
				}()
			}
			n := uint64(0)
			for b.Loop() {
				n++
				work <- n
			}
			close(work)
			for range writers {
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
