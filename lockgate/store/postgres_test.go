package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/lockgate/store/storetest"
)

// server is one PostgreSQL for all tests of the package, started when the first
// one asks for it. URSA_POSTGRES names another server to use instead; its
// database is filled with schemas of random names.
var server = sync.OnceValues(startPostgres)

// stopServer is set when a server was started here.
var stopServer func()

func TestMain(m *testing.M) {
	code := m.Run()
	if stopServer != nil {
		stopServer()
	}
	os.Exit(code)
}

var errNoPostgres = errors.New("no PostgreSQL here: install its server, or set URSA_POSTGRES to a data source name")

func startPostgres() (string, error) {
	if dsn := os.Getenv("URSA_POSTGRES"); dsn != "" {
		return dsn, nil
	}
	find := func(name string) string {
		if p, err := exec.LookPath(name); err == nil {
			return p
		}
		list, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
		if len(list) > 0 {
			return list[len(list)-1]
		}
		return ""
	}
	initdb, postgres := find("initdb"), find("postgres")
	if initdb == "" || postgres == "" {
		return "", errNoPostgres
	}
	dir, err := os.MkdirTemp("", "ursa-postgres-")
	if err != nil {
		return "", err
	}
	attr := &syscall.SysProcAttr{}
	if os.Getuid() == 0 { // the server refuses to run as root
		u, err := user.Lookup("postgres")
		if err != nil {
			if u, err = user.Lookup("nobody"); err != nil {
				return "", errNoPostgres
			}
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(dir, uid, gid); err != nil {
			return "", err
		}
	}
	data := filepath.Join(dir, "data")
	init := exec.Command(initdb, "-D", data, "-A", "trust", "-U", "ursa", "--no-sync")
	init.SysProcAttr, init.Dir = attr, dir
	if out, err := init.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w (initdb: %v: %s)", errNoPostgres, err, bytes.TrimSpace(out))
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	port := ln.Addr().(*net.TCPAddr).Port
	_ = ln.Close()
	run := exec.Command(postgres, "-D", data, "-p", strconv.Itoa(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=")
	run.SysProcAttr, run.Dir = &syscall.SysProcAttr{Credential: attr.Credential, Pdeathsig: syscall.SIGQUIT}, dir
	if err := run.Start(); err != nil {
		return "", err
	}
	stopServer = func() {
		_ = run.Process.Signal(syscall.SIGINT)
		_ = run.Wait()
		_ = os.RemoveAll(dir)
	}
	dsn := fmt.Sprintf("postgres://ursa@127.0.0.1:%d/postgres?sslmode=disable", port)
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return "", err
	}
	defer func() { _ = db.Close() }()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if err = db.Ping(); err == nil {
			return dsn, nil
		}
		if time.Now().After(end) {
			return "", fmt.Errorf("%w (it does not answer: %v)", errNoPostgres, err)
		}
	}
}

// schemaDSN makes a schema of its own and names it in a data source.
func schemaDSN(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("short: no database server is started")
	}
	dsn, err := server()
	if err != nil {
		t.Skip(err)
	}
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	name := fmt.Sprintf("t%d", time.Now().UnixNano())
	if _, err := db.Exec("CREATE SCHEMA " + name); err != nil {
		t.Fatal(err)
	}
	return dsn + "&search_path=" + name
}

func openPG(t testing.TB, dsn string, opt store.Options) *store.SQL {
	t.Helper()
	s, err := store.OpenPostgres(context.Background(), dsn, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestPostgresConforms(t *testing.T) {
	storetest.Run(t, func(t testing.TB) store.Store { return openPG(t, schemaDSN(t), store.Options{}) })
}

// TestTwoGatesOnOnePostgres: two gates grant at once, for one lock nonce and for
// one budget; one grant for the nonce, and never more than the budget.
func TestTwoGatesOnOnePostgres(t *testing.T) {
	dsn := schemaDSN(t)
	gates := []*store.SQL{openPG(t, dsn, store.Options{}), openPG(t, dsn, store.Options{})}
	storetest.Enrol(t, gates[0], 50)
	ctx := context.Background()
	var mu sync.Mutex
	granted := 0
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			g := storetest.Nth(1, 1)
			g.RequestID[15], g.Nonce[31] = byte(i+1), byte(i+1)
			_, err := gates[i%2].Grant(ctx, g)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				granted++
			} else if !errors.Is(err, store.ErrLockNonceUsed) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if granted != 1 {
		t.Fatalf("%d grants for one lock nonce", granted)
	}
	// Twenty cores on the one chip, at both gates, want 90 of the 49 units left.
	spent := lock.Units(0)
	for i := range 30 {
		core := [32]byte{0xe0, byte(i)}
		err := gates[0].Enrol(ctx, store.Account{Core: core, Chip: storetest.Chip, Tenant: "t", Platform: "sim", Public: []byte("p"), Enabled: true, Budget: 50})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			g := storetest.Nth(1, 3)
			g.Core = core
			binary.BigEndian.PutUint64(g.Nonce[8:], uint64(i)+1000)
			binary.BigEndian.PutUint64(g.LockNonce[8:], uint64(i)+1000)
			_, err := gates[i%2].Grant(ctx, g)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				spent += 3
			} else if !errors.Is(err, store.ErrBudget) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	a, err := gates[1].Account(ctx, storetest.Core)
	if err != nil || a.Spent != spent+1 || spent != 48 {
		t.Fatalf("spent %d, %d granted by the second wave, %v", a.Spent, spent, err)
	}
	for _, g := range gates {
		if err := g.Check(ctx); err != nil {
			t.Error(err)
		}
	}
}

func TestPostgresFaultsInPairs(t *testing.T) {
	ctx := context.Background()
	const seed = 20261121
	rng := rand.New(rand.NewPCG(seed, 2))
	t.Logf("seed %d", seed)
	faults := 0
	s := openPG(t, schemaDSN(t), store.Options{Fault: func(store.Step) error {
		if rng.IntN(12) == 0 { // only the writer goroutine calls it
			faults++
			return errInjected
		}
		return nil
	}})
	for s.Enrol(ctx, store.Account{Core: storetest.Core, Chip: storetest.Chip, Tenant: "t", Platform: "sim", Public: []byte("pub"), Enabled: true, Budget: 1 << 40}) != nil {
	}
	const grants = 40
	for i := uint64(1); i <= grants; i++ {
		for try := 0; ; try++ {
			g := storetest.Nth(i, 3)
			g.Response = fmt.Appendf(nil, "lease %d, try %d", i, try)
			if _, err := s.Grant(ctx, g); err == nil {
				break
			} else if !errors.Is(err, errInjected) {
				t.Fatal(err)
			}
		}
	}
	a, err := s.Account(ctx, storetest.Core)
	if err != nil || a.Spent != 3*grants || faults < 20 {
		t.Fatalf("spent %d of %d, %d faults, %v", a.Spent, 3*grants, faults, err)
	}
	if err := s.Check(ctx); err != nil {
		t.Fatal(err)
	}
}
