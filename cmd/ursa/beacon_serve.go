package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/server"
	"github.com/ursa-virtual/ursa/beacon/timing"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// beaconOptions are the flags of `ursa beacon serve`.
type beaconOptions struct {
	keys                                  keyFlags
	passport                              passportFlags
	log                                   logFlag
	receiver                              receiverFlags
	dir, directory, listen, metrics, path string
	drain                                 time.Duration
}

// beaconDaemon is a beacon that serves. Directories and attestation results are renewed on the running server.
type beaconDaemon struct {
	o        beaconOptions
	key      *identity.Private
	trust    trustFile
	passport *passport
	socket   beaconSocket
	clock    stamp.Clock
	log      *slog.Logger
	began    time.Time
	checks   []check // of the host, made at the start

	metrics *prometheus.Registry

	hangup chan struct{} // SIGHUP was seen

	server *server.Server

	mu     sync.Mutex           // guards what follows
	in     *directory.Directory // in force
	result attest.Result        // in force
}

// serveBeacon runs until the command's context ends.
func serveBeacon(cmd *cobra.Command, o beaconOptions) error {
	log, err := o.log.open(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	protect, err := o.keys.protector(cmd, false)
	if err != nil {
		return err
	}
	hangup := make(chan struct{}, 1)
	defer onHangup(func() { // from the first moment on: before, the signal ends the process
		select {
		case hangup <- struct{}{}:
		default:
		}
	})()
	b := &beaconDaemon{o: o, log: log, began: time.Now(), metrics: prometheus.NewRegistry(), hangup: hangup}
	if b.trust, err = homeTrust(o.dir, "beacon"); err != nil {
		return err
	}
	d, err := b.trust.openDirectory(o.directory, nil)
	if err != nil {
		return err
	}
	if b.key, err = identity.LoadKey(filepath.Join(o.dir, beaconKeyName), protect); err != nil {
		return err
	}
	if b.passport, err = o.passport.openBeacon(cmd.Context(), o.dir, b.key); err != nil {
		return err
	}
	defer b.passport.close()
	if b.clock, err = timing.HostClock(); err != nil {
		return err
	}
	if b.socket, err = openBeaconSocket(o.path, o.listen, b.clock); err != nil {
		return err
	}
	defer b.socket.close()
	b.in = d.Directory
	closeReceiver, err := b.openReceiver(cmd.Context(), protect)
	if err != nil {
		return err
	}
	defer closeReceiver()
	return b.run(cmd.Context())
}

// check refuses wrong words before a key is opened, which takes time.
func (o beaconOptions) check() error {
	if err := o.passport.check(); err != nil {
		return err
	}
	if _, err := net.ResolveUDPAddr("udp", o.listen); err != nil {
		return usagef("--listen %q: use HOST:PORT or :PORT (%w)", o.listen, err)
	}
	for _, path := range []string{"auto", "steered", "wrapped", "transport", "datagram"} {
		if o.path == path {
			return nil
		}
	}
	return usagef("--path %q: use auto, steered, wrapped, transport or datagram", o.path)
}

// beaconSocket is a socket with the way that rounds travel on it.
type beaconSocket struct {
	own  timing.Socket  // nil: the server puts rounds on conn
	conn net.PacketConn // the same, for addresses
	path exchange.PathKind
}

func (s beaconSocket) close() {
	if s.own != nil {
		_ = s.own.Close()
		return
	}
	_ = s.conn.Close()
}

// openBeaconSocket opens the best socket that this system has, or the one that was asked for.
func openBeaconSocket(path, listen string, clock stamp.Clock) (beaconSocket, error) {
	if path == "auto" || path == exchange.PathSteered.String() {
		open := func() (timing.Socket, error) { return timing.Listen("udp", listen, clock, exchange.ModeBlocking) }
		if path != "auto" {
			open = func() (timing.Socket, error) { return timing.Steer("udp", listen, clock, exchange.ModeBlocking) }
		}
		own, err := open()
		if err != nil {
			return beaconSocket{}, listenError("--listen", listen, "UDP", err)
		}
		return beaconSocket{own: own, conn: own.Conn(), path: own.Kind()}, nil
	}
	kind := exchange.PathWrapped
	for _, k := range []exchange.PathKind{exchange.PathTransport, exchange.PathDatagram} {
		if k.String() == path {
			kind = k
		}
	}
	conn, err := listenUDP("--listen", listen)
	return beaconSocket{conn: conn, path: kind}, err
}

// serverPath is what the server has to be told: nothing when the socket carries rounds already.
func (s beaconSocket) serverPath() exchange.PathKind {
	if s.own != nil {
		return 0
	}
	return s.path
}

// run serves until the context ends.
func (b *beaconDaemon) run(ctx context.Context) error {
	b.checks = selfTest(ctx, b.clock)
	for _, c := range b.checks {
		b.log.Info("self-test", "check", c.Name, "ok", c.OK, "detail", c.Detail)
	}
	b.count()
	if err := b.begin(ctx); err != nil {
		return err
	}
	if b.o.metrics != "" {
		l, err := listenTCP("--metrics", b.o.metrics)
		if err != nil {
			return err
		}
		defer serveHTTP(l, b.operator())()
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	var watching sync.WaitGroup
	watching.Go(func() { b.watch(ctx) })
	var err error
	if b.socket.own != nil {
		err = b.server.ServeOn(ctx, b.socket.own)
	} else {
		err = b.server.Serve(ctx, b.socket.conn)
	}
	end()
	watching.Wait()
	b.log.Info("beacon ends", "beacon", b.key.ID().Short())
	return err
}

// begin makes the server with the first result.
func (b *beaconDaemon) begin(ctx context.Context) error {
	encoded, result, err := b.passport.current(ctx, time.Now())
	if err != nil {
		return err
	}
	b.server, err = server.New(server.Config{Key: b.key, Directory: b.in, Attestation: encoded, ClockAttested: b.passport.clockAttested(),
		Evidence: b.passport.evidence(), Appraised: attest.Vouched(b.trust.Constellation), Clock: b.clock, Path: b.socket.serverPath(), Drain: b.o.drain, Log: b.log})
	if errors.Is(err, server.ErrUnlisted) {
		return fmt.Errorf("%w: the directory's signers have to put %s in", err, filepath.Join(b.o.dir, beaconPublicName))
	}
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.result = result
	return b.metrics.Register(b.server.Metrics())
}

// passportRetry is how often at most a result that could not be replaced is tried again.
const passportRetry = time.Minute

// watch reloads on SIGHUP, and renews the attestation result at half of its life.
func (b *beaconDaemon) watch(ctx context.Context) {
	timer := time.NewTimer(time.Until(halfLife(b.attested())))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.hangup:
			b.reload()
			b.passport.forget()
		case <-timer.C:
		}
		err := b.renew(ctx)
		r := b.attested()
		if wait := time.Until(halfLife(r)); wait > 0 {
			timer.Reset(wait)
			continue
		}
		b.log.Warn("attestation is not renewed", "expires", utc(r.ExpiresUnixNS), "error", err)
		timer.Reset(retryAfter(r))
	}
}

// retryAfter is how long after a failed renewal the next one is tried: at most a minute, and several times before the result expires.
func retryAfter(r attest.Result) time.Duration {
	return max(min(passportRetry, time.Duration(r.ExpiresUnixNS-r.IssuedUnixNS)/8), time.Second)
}

// renew puts a fresh result in force, if there is one. An old one stays as long as it lasts, and is then shown as what it is: expired.
func (b *beaconDaemon) renew(ctx context.Context) error {
	encoded, r, err := b.passport.current(ctx, time.Now())
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.EvidenceHash == b.result.EvidenceHash {
		return b.passport.trouble()
	}
	if err := b.server.SetAttestation(encoded, b.passport.clockAttested()); err != nil {
		return err
	}
	b.result = r
	b.log.Info("attestation renewed", "platform", r.Platform, "until", utc(r.ExpiresUnixNS))
	return nil
}

func (b *beaconDaemon) attested() attest.Result {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.result
}

// reload puts the directory of the file into force; one that is refused changes nothing.
func (b *beaconDaemon) reload() {
	b.mu.Lock()
	defer b.mu.Unlock()
	d, err := b.trust.openDirectory(b.o.directory, b.in)
	if err == nil {
		err = b.server.Reload(d.Directory)
	}
	if err != nil {
		b.log.Error("reload refused; the directory in force stays", "epoch", b.in.Epoch, "error", err)
		return
	}
	b.in = d.Directory
	b.log.Info("reloaded", "epoch", d.Epoch, "beacons", len(d.Beacons))
}

// count registers what the server does not count itself.
func (b *beaconDaemon) count() {
	gauge := func(name, help string, f func() float64) {
		b.metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ursa_beacon_" + name, Help: help}, f))
	}
	b.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	q := b.clock.Quality()
	gauge("clock_granularity_seconds", "Granularity of the clock that stamps rounds.", func() float64 { return float64(q.GranularityNS) / 1e9 })
	gauge("clock_error_ratio", "Largest error of the clock's rate.", func() float64 { return float64(q.ErrPPB) / 1e9 })
	gauge("attestation_expires_seconds", "When the attestation result in use expires, in seconds since 1970.", func() float64 {
		return float64(b.attested().ExpiresUnixNS) / 1e9
	})
}

// operator answers at the metrics address.
func (b *beaconDaemon) operator() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(b.metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, b.status(time.Now())) })
	return mux
}

// status is the beacon now.
func (b *beaconDaemon) status(now time.Time) beaconStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	self, _ := b.in.Lookup(b.key.ID())
	q, hash, r := b.clock.Quality(), b.in.Hash(), b.result
	st := b.server.Stats()
	s := beaconStatus{Beacon: b.key.ID(), Place: self.Place, Listen: b.socket.conn.LocalAddr().String(), Path: b.socket.path.String(),
		UptimeS:     int64(now.Sub(b.began).Seconds()),
		Clock:       clockStatus{GranularityNS: q.GranularityNS, ErrPPB: q.ErrPPB, CostM: float64(metresOf(int64(2 * q.GranularityNS)))},
		Directory:   directoryStatus{Epoch: b.in.Epoch, Hash: hex.EncodeToString(hash[:]), Beacons: len(b.in.Beacons), ExpiresAt: utc(b.in.ExpiresUnixNS)},
		Attestation: attestStatus{Platform: string(r.Platform), ExpiresAt: utc(r.ExpiresUnixNS)},
		Exchanges: exchangeStatus{Statements: st.Statements, Countersigned: st.Countersigned, Refused: st.Refused, InProgress: st.InProgress,
			Reasons: st.RefusedReasons}}
	valid := check{"directory", true, "in force"}
	if err := b.in.ValidAt(now.UnixNano()); err != nil {
		valid = check{"directory", false, err.Error()}
	}
	attested := check{"attestation", now.UnixNano() < r.ExpiresUnixNS, "in force"}
	if !attested.OK {
		attested.Detail = errPassportExpired.Error()
	}
	s.Checks = append(append(s.Checks, b.checks...), valid, attested)
	return s
}
