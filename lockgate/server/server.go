// Package server is a gate on the network: HTTP/3 on a packet connection and
// HTTP/2 on a listener, with the one schema of package api.
//
// What it promises. Before a request is authenticated it costs little: sizes are
// limited while reading, every read has a deadline, a connection may open few
// streams, and each source address has a bucket of requests. What has to be
// verified waits for one of few places, and is turned away when there are too
// many waiting. Nothing of a refusal reveals more than the check's name and one
// line. Logs name cores by the first digits of their id, never a place, a proof
// or a key. Shutting down finishes what was begun; what a client did not hear of
// it hears in answer to the same request from the next process.
//
// What it believes: package grant decides, and the enrolled keys. What an
// attacker may do: connect, send anything of any length at any speed, and hold
// on to connections.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/ursa-virtual/ursa/beacon/exchange/channel"
	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/server/api"
	"github.com/ursa-virtual/ursa/lockgate/token"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// Gate is what the server needs of a gate; grant.Gate is one.
type Gate interface {
	Challenge(ctx context.Context, q grant.Question) ([]byte, error)
	Grant(ctx context.Context, r grant.Request) (grant.Decision, error)
	Burn(ctx context.Context, q grant.BurnQuestion) (grant.Receipt, error)
	Token(ctx context.Context, q grant.TokenQuestion) (token.Claims, error)
	StepKey(ctx context.Context, q grant.StepQuestion) (lock.Key, error)
	Key(ctx context.Context, core identity.ID) (identity.Public, error)
	Ready(ctx context.Context) error
}

// Config of a server.
type Config struct {
	Gate Gate // needed

	Log     *slog.Logger                            // nil: discarded
	Decided func(r grant.Request, d grant.Decision) // told of every decision before it is sent; nil: nobody
	// Keep writes what makes a decision verifiable again, before it is sent; nil: nothing is kept. A lease of which it cannot is not sent:
	// when the same request comes again, and Keep succeeds, the same bytes go out.
	Keep    func(r grant.Request, d grant.Decision) error
	Metrics *Metrics      // nil: not counted
	Tokens  *token.Issuer // signs tokens; nil: there are none
	Ledger  http.Handler  // what readers see under api.PathLedger; nil: nothing

	Timeout    time.Duration // for reading a request, and for answering it; 0: 10 s
	Rate       float64       // requests a second from one address; 0: 50
	Burst      float64       // requests at once from one address; 0: 100
	Verifying  int           // requests verified at once; 0: 8
	Waiting    int           // requests waiting for that; 0: 256
	TrustProxy bool          // no limits by address: all requests come from one proxy
}

// ErrConfig is a configuration without a gate.
var ErrConfig = errors.New("server: a gate must be set")

// Server serves one gate on any number of connections.
type Server struct {
	cfg     Config
	mux     *http.ServeMux
	tls     *tls.Config
	buckets *buckets
	places  chan struct{} // one for each request being verified
	queue   chan struct{} // one for each request being verified or waiting
	turns   turns         // of cores, while evidence is kept
	h2      *http.Server
	h3      *http3.Server

	stop    sync.Once
	stopped chan struct{} // closed when nothing is under way any more
}

// New makes a server with a certificate of its own.
func New(cfg Config) (*Server, error) {
	if cfg.Gate == nil {
		return nil, ErrConfig
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Rate <= 0 {
		cfg.Rate = 50
	}
	if cfg.Burst <= 0 {
		cfg.Burst = 100
	}
	if cfg.Verifying <= 0 {
		cfg.Verifying = 8
	}
	if cfg.Waiting <= 0 {
		cfg.Waiting = 256
	}
	t, err := channel.ServerTLS(time.Now())
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, tls: t, buckets: newBuckets(cfg.Rate, cfg.Burst),
		places: make(chan struct{}, cfg.Verifying), queue: make(chan struct{}, cfg.Verifying+cfg.Waiting), stopped: make(chan struct{})}
	if err := s.routes(); err != nil {
		return nil, err
	}
	// What a library has to say about broken connections is not for standard error.
	quiet := slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug)
	s.h2 = &http.Server{Handler: s.mux, TLSConfig: withProtocol(t, "h2"), ErrorLog: quiet, ReadTimeout: cfg.Timeout,
		WriteTimeout: 3 * cfg.Timeout, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10,
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 16, MaxReadFrameSize: 64 << 10}}
	s.h3 = &http3.Server{Handler: s.mux, TLSConfig: withProtocol(t, http3.NextProtoH3), Logger: cfg.Log, MaxHeaderBytes: 8 << 10,
		IdleTimeout: time.Minute, QUICConfig: quicConfig(16)}
	return s, nil
}

func withProtocol(t *tls.Config, protocol string) *tls.Config {
	t = t.Clone()
	t.NextProtos = []string{protocol}
	return t
}

// quicConfig has room for a proof on a stream, and no 0-RTT.
func quicConfig(streams int64) *quic.Config {
	c := channel.QUIC(streams, false)
	c.MaxIncomingUniStreams = 3 // HTTP/3's control and compression streams
	c.InitialStreamReceiveWindow, c.MaxStreamReceiveWindow = 256<<10, 1<<20
	c.InitialConnectionReceiveWindow, c.MaxConnectionReceiveWindow = 512<<10, 4<<20
	c.MaxIdleTimeout, c.KeepAlivePeriod = time.Minute, 0
	return c
}

// ServeQUIC serves HTTP/3 on a packet connection until Shutdown or Close. The
// connection stays open. Addresses are validated when there are many.
func (s *Server) ServeQUIC(conn net.PacketConn) error {
	tr := &quic.Transport{Conn: conn, VerifySourceAddress: s.buckets.busy}
	ln, err := tr.ListenEarly(http3.ConfigureTLSConfig(s.h3.TLSConfig), s.h3.QUICConfig)
	if err != nil {
		return err
	}
	err = s.h3.ServeListener(ln)
	if errors.Is(err, http.ErrServerClosed) {
		<-s.stopped // what was begun is being finished on these connections
	}
	_ = ln.Close()
	_ = tr.Close()
	return ended(err)
}

// ServeTCP serves HTTP/2 on a listener until Shutdown or Close.
func (s *Server) ServeTCP(ln net.Listener) error {
	return ended(s.h2.ServeTLS(ln, "", ""))
}

func ended(err error) error {
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, quic.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Handler is the schema without a transport, for tests and for other muxes.
func (s *Server) Handler() http.Handler { return s.mux }

// Shutdown takes no new requests, finishes those that were begun, and returns
// when they are or the context ends.
func (s *Server) Shutdown(ctx context.Context) error {
	defer s.stop.Do(func() { close(s.stopped) })
	h2 := make(chan error, 1)
	go func() { h2 <- s.h2.Shutdown(ctx) }()
	return errors.Join(s.h3.Shutdown(ctx), <-h2)
}

// Close ends everything at once.
func (s *Server) Close() error {
	defer s.stop.Do(func() { close(s.stopped) })
	return errors.Join(s.h2.Close(), s.h3.Close())
}

func (s *Server) routes() error {
	s.mux = http.NewServeMux()
	s.mux.HandleFunc("GET "+api.PathHealth, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n")
	})
	s.mux.HandleFunc("GET "+api.PathReady, s.ready)
	if s.cfg.Ledger != nil {
		s.mux.Handle("GET "+api.PathLedger, http.StripPrefix(api.PathLedger, s.cfg.Ledger))
	}
	s.mux.HandleFunc("POST "+api.PathChallenge, s.guard(api.MaxQuestion, s.challenge))
	if s.cfg.Tokens != nil {
		s.mux.HandleFunc("POST "+api.PathToken, s.guard(api.MaxQuestion, s.token))
		documents, err := s.cfg.Tokens.Handler()
		if err != nil {
			return err
		}
		s.mux.Handle("GET "+token.PathDiscovery, documents)
		s.mux.Handle("GET "+token.PathKeys, documents)
	}
	s.mux.HandleFunc("POST "+api.PathBurn, s.guard(api.MaxQuestion, s.burn))
	s.mux.HandleFunc("POST "+api.PathKey, s.guard(api.MaxQuestion, s.step))
	s.mux.HandleFunc("POST "+api.PathLease, s.guard(api.MaxLeaseRequest, s.lease))
	return nil
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), s.cfg.Timeout)
	defer cancel()
	if err := s.cfg.Gate.Ready(ctx); err != nil {
		s.cfg.Log.Warn("not ready", "error", err)
		http.Error(w, "not ready", http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ready\n")
}
