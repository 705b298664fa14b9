package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// What the long-running commands (beacon serve, gate serve, core run) have in common.

// logFlag chooses how log records look.
type logFlag struct{ format string }

func (l *logFlag) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&l.format, "log", "text", "`FORMAT` of log records on standard error: text or json")
}

func (l *logFlag) open(errOut io.Writer) (*slog.Logger, error) {
	switch l.format {
	case "text":
		return slog.New(slog.NewTextHandler(errOut, nil)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(errOut, nil)), nil
	}
	return nil, usagef("--log %q: use text or json", l.format)
}

// listenUDP opens the socket of a service.
func listenUDP(flag, address string) (*net.UDPConn, error) {
	at, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return nil, usagef("%s %q: use HOST:PORT or :PORT (%w)", flag, address, err)
	}
	conn, err := net.ListenUDP("udp", at)
	if err != nil {
		return nil, listenError(flag, address, "UDP", err)
	}
	return conn, nil
}

// listenTCP opens the socket of a service.
func listenTCP(flag, address string) (net.Listener, error) {
	if _, err := net.ResolveTCPAddr("tcp", address); err != nil {
		return nil, usagef("%s %q: use HOST:PORT or :PORT (%w)", flag, address, err)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, listenError(flag, address, "TCP", err)
	}
	return l, nil
}

// listenError says what is wrong with an address, and what would be right.
func listenError(flag, address, protocol string, err error) error {
	what := err
	var at *net.OpError
	if errors.As(err, &at) {
		what = at.Err
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("cannot listen on %s/%s: the port is in use; stop what uses it or choose another with %s", address, protocol, flag)
	}
	return fmt.Errorf("cannot listen on %s/%s: %w; choose another address with %s", address, protocol, what, flag)
}

// serveHTTP answers on a listener until stopped: metrics and status for the operator, never the protocol itself.
func serveHTTP(l net.Listener, h http.Handler) (stop func()) {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		MaxHeaderBytes: 8 << 10, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	return func() { _ = s.Close(); <-done }
}

// onHangup calls f whenever the process gets SIGHUP, one call at a time, until stopped.
func onHangup(f func()) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-signals:
				f()
			case <-end:
				return
			}
		}
	}()
	return func() { signal.Stop(signals); close(end); <-done }
}

// getJSON asks a running service's operator address for its status.
func getJSON(ctx context.Context, client *http.Client, url string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	return exchangeJSON(client, req, v)
}

// exchangeJSON sends a request and reads the JSON answer; an answer of another status is an error of one line.
func exchangeJSON(client *http.Client, req *http.Request, v any) error {
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return errors.New(strings.TrimSpace(string(body)))
	}
	return json.Unmarshal(body, v)
}

// answerJSON writes one object.
func answerJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v)
}

// controlName is the socket in a folder by which commands of the same owner talk to the process that works there.
const controlName = "control.sock"

// control answers on the socket of a claimed folder. Only the folder's owner can reach it.
func control(dir string, h http.Handler) (stop func(), err error) {
	path := filepath.Join(dir, controlName)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) { // of a process that is gone: the folder is ours
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot make %s: %w; a shorter folder name may help", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, err
	}
	return serveHTTP(l, h), nil
}

// errNotRunning says that nothing works in a folder.
var errNotRunning = errors.New("nothing runs there")

// controlClient talks to the process that works in a folder; errNotRunning when there is none.
func controlClient(dir string) (*http.Client, error) {
	path := filepath.Join(dir, controlName)
	c, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		return nil, errNotRunning
	}
	_ = c.Close()
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		}}}, nil
}
