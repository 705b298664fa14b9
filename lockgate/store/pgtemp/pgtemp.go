// Package pgtemp runs a PostgreSQL server of its own for as long as a test or a
// benchmark lasts: in a temporary folder, on a free port of the loopback
// address, with the server's usual durability. It needs the programs initdb and
// postgres on this machine and changes nothing outside its folder.
//
// What an attacker may do: anybody on this machine can connect to it. Nothing of
// worth is put there.
package pgtemp

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver
)

// ErrNone is a machine without the server's programs.
var ErrNone = errors.New("no PostgreSQL here: install its server, or name a running one")

// patience is how long a server may take to answer for the first time.
const patience = time.Minute

// Server is a running server.
type Server struct {
	dsn   string
	dir   string
	cmd   *exec.Cmd
	ended chan struct{} // closed when cmd has
	n     atomic.Uint64 // schemas made
}

// Existing stands for a server that runs already; Stop leaves it alone.
func Existing(dsn string) *Server { return &Server{dsn: dsn} }

// find looks for one of the server's programs.
func find(name string) string {
	if p, err := exec.LookPath(name); err == nil {
		return p
	}
	list, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(list) > 0 {
		return list[len(list)-1]
	}
	return ""
}

// Start makes and starts a server. ErrNone when this machine has none.
func Start() (*Server, error) {
	initdb, postgres := find("initdb"), find("postgres")
	if initdb == "" || postgres == "" {
		return nil, ErrNone
	}
	dir, err := os.MkdirTemp("", "ursa-postgres-")
	if err != nil {
		return nil, fmt.Errorf("pgtemp: %w", err)
	}
	s := &Server{dir: dir}
	if err := s.start(initdb, postgres); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *Server) start(initdb, postgres string) error {
	attr, err := owner(s.dir)
	if err != nil {
		return err
	}
	data := filepath.Join(s.dir, "data")
	init := exec.Command(initdb, "-D", data, "-A", "trust", "-U", "ursa", "--no-sync")
	init.SysProcAttr, init.Dir = attr, s.dir
	if out, err := init.CombinedOutput(); err != nil {
		return fmt.Errorf("%w (initdb: %w: %s)", ErrNone, err, bytes.TrimSpace(out))
	}
	for range 10 { // somebody may take the port before the server does
		var port int
		if port, err = freePort(); err != nil {
			return err
		}
		s.cmd = exec.Command(postgres, "-D", data, "-p", strconv.Itoa(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=")
		s.cmd.SysProcAttr, s.cmd.Dir = attr, s.dir
		if err := s.cmd.Start(); err != nil {
			s.cmd = nil
			return fmt.Errorf("%w (%w)", ErrNone, err)
		}
		s.dsn = fmt.Sprintf("postgres://ursa@127.0.0.1:%d/postgres?sslmode=disable", port)
		cmd, ended := s.cmd, make(chan struct{})
		s.ended = ended
		go func() { _ = cmd.Wait(); close(ended) }()
		if err = s.answers(); !errors.Is(err, errEnded) {
			return err
		}
	}
	return fmt.Errorf("%w (%w)", ErrNone, err)
}

// errEnded is a server that ended before it answered.
var errEnded = errors.New("pgtemp: the server ended at its start")

// freePort is a port of the loopback address on which nobody listens. It lies
// below those that the system gives to sockets without one, and that tests of
// commands choose among: one of these could take it before it is used.
func freePort() (port int, err error) {
	for range 100 {
		port = 3_000 + rand.IntN(7_000)
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("pgtemp: no free port: %w", err)
}

// answers waits until the server does, or has ended.
func (s *Server) answers() error {
	db, err := sql.Open("pgx", s.dsn)
	if err != nil {
		return fmt.Errorf("pgtemp: %w", err)
	}
	defer func() { _ = db.Close() }()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if err = db.Ping(); err == nil {
			return nil
		}
		select {
		case <-s.ended:
			return fmt.Errorf("%w: %w", errEnded, err)
		default:
		}
		if time.Now().After(end) {
			return fmt.Errorf("%w (it does not answer: %w)", ErrNone, err)
		}
	}
}

// Schema makes an empty schema of its own and names it in a data source.
func (s *Server) Schema(ctx context.Context) (dsn string, err error) {
	db, err := sql.Open("pgx", s.dsn)
	if err != nil {
		return "", fmt.Errorf("pgtemp: %w", err)
	}
	defer func() { _ = db.Close() }()
	name := fmt.Sprintf("t%d_%d_%d", os.Getpid(), time.Now().UnixNano(), s.n.Add(1))
	if _, err := db.ExecContext(ctx, "CREATE SCHEMA "+name); err != nil {
		return "", fmt.Errorf("pgtemp: %w", err)
	}
	join := "?"
	if bytes.ContainsRune([]byte(s.dsn), '?') {
		join = "&"
	}
	return s.dsn + join + "search_path=" + name, nil
}

// Stop ends the server that Start started and removes its folder.
func (s *Server) Stop() {
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(os.Interrupt)
		<-s.ended
		s.cmd = nil
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}
