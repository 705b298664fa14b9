package service

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/exchange/channel"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// Config configures a service. Key, Know and Appraise must be given.
type Config struct {
	Key *identity.Private // of role appraiser
	// Know says whether a machine's key may come here: ErrStranger, or why not.
	Know func(identity.Public) error
	// Appraise signs the result about evidence that answers the wanted nonce; an attest.Appraiser does.
	Appraise func(evidence []byte, w attest.Want) ([]byte, error)
	// Enrol checks an application and returns the challenge, and what finishes the enrolment with the machine's answer; nil: this
	// service enrols nobody.
	Enrol func(application []byte) (challenge []byte, finish func(answer []byte) (record []byte, err error), err error)
	// Refusals are the sentinels that travel by name, the more specific first.
	Refusals []error
	// Errand bounds one errand from handshake to end; 0 means a minute: TPMs are slow.
	Errand time.Duration
	// Most is how many errands may be in progress; 0 means 64.
	Most int

	Now    func() time.Time // the wall clock; nil means time.Now
	Random io.Reader        // of nonces; nil means crypto/rand
	Log    *slog.Logger     // one record for each errand; nil discards
}

// Server is the service.
type Server struct {
	cfg    Config
	places chan struct{}
}

// New checks the configuration: ErrConfig.
func New(cfg Config) (*Server, error) {
	if cfg.Key == nil || cfg.Key.Public().Role() != identity.RoleAppraiser || cfg.Know == nil || cfg.Appraise == nil || cfg.Errand < 0 || cfg.Most < 0 {
		return nil, fmt.Errorf("%w: a key of role %s, Know and Appraise are needed", ErrConfig, identity.RoleAppraiser)
	}
	if cfg.Errand == 0 {
		cfg.Errand = time.Minute
	}
	if cfg.Most == 0 {
		cfg.Most = 64
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{cfg: cfg, places: make(chan struct{}, cfg.Most)}, nil
}

// Serve answers on pc until ctx ends and every errand has ended. pc is not closed.
func (s *Server) Serve(ctx context.Context, pc net.PacketConn) error {
	tlsConfig, err := channel.ServerTLS(s.cfg.Now())
	if err != nil {
		return err
	}
	transport := &quic.Transport{Conn: pc, VerifySourceAddress: func(net.Addr) bool { return true }}
	defer func() { _ = transport.Close() }()
	listener, err := transport.Listen(tlsConfig, channel.QUIC(1, false))
	if err != nil {
		return fmt.Errorf("listening on %v: %w", pc.LocalAddr(), err)
	}
	defer func() { _ = listener.Close() }()
	var errands sync.WaitGroup
	defer errands.Wait()
	for {
		conn, err := listener.Accept(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accepting: %w", err)
		}
		errands.Go(func() { s.attend(ctx, conn) })
	}
}

// attend runs one errand.
func (s *Server) attend(ctx context.Context, conn *quic.Conn) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Errand)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = conn.CloseWithError(0, "") })()
	defer func() { _ = conn.CloseWithError(0, "") }()
	ch, err := channel.Check(conn)
	if err != nil {
		return
	}
	stream, err := conn.AcceptStream(ctx)
	if err != nil {
		return
	}
	who, purpose, err := s.errand(stream, ch)
	if err != nil {
		s.cfg.Log.Warn("refused", "machine", who.Short(), "purpose", purpose, "from", conn.RemoteAddr().String(), "error", err)
		_ = send(stream, refusal(err, s.cfg.Refusals)) // the machine may be gone
	} else {
		s.cfg.Log.Info("done", "machine", who.Short(), "purpose", purpose, "from", conn.RemoteAddr().String())
	}
	_ = stream.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(stream, maxMessage)) // until the machine has read it and goes
}

func (s *Server) errand(stream io.ReadWriter, ch channel.Channel) (who identity.ID, purpose string, err error) {
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	default:
		return who, purpose, ErrBusy
	}
	h, key, err := s.meet(stream, ch)
	if err != nil {
		return who, h.Purpose, err
	}
	who = key.ID()
	if err := s.cfg.Know(key); err != nil {
		return who, h.Purpose, err
	}
	w := welcome{Version: version, Machine: who, Binding: ch.Binding}
	if _, err := io.ReadFull(s.cfg.Random, w.Nonce[:]); err != nil {
		return who, h.Purpose, err
	}
	switch {
	case h.Purpose == appraise:
		err = s.appraise(stream, w)
	case h.Purpose == enrol && s.cfg.Enrol != nil:
		err = s.enrol(stream, w)
	default:
		err = fmt.Errorf("%w: %q", ErrPurpose, clean(h.Purpose))
	}
	return who, h.Purpose, err
}

// meet checks who comes: form, version, addressee, channel, key, signature.
func (s *Server) meet(stream io.Reader, ch channel.Channel) (hello, identity.Public, error) {
	var e identity.Envelope
	var h hello
	if err := receiveInto(stream, &e); err != nil {
		return h, identity.Public{}, err
	}
	if err := canon.Unmarshal(e.Payload, &h, maxMessage); err != nil || h.Version != version {
		return hello{}, identity.Public{}, errors.Join(ErrMessage, err)
	}
	switch {
	case h.Service != s.cfg.Key.ID():
		return h, identity.Public{}, ErrAppraiser
	case h.Binding != ch.Binding:
		return h, identity.Public{}, ErrChannel
	}
	key, err := identity.ParsePublic(h.Key)
	if err != nil {
		return h, key, fmt.Errorf("%w: %w", ErrMessage, err)
	}
	if key.ID() != e.Signer {
		return h, key, fmt.Errorf("%w: signed by %s, names %s", ErrSignature, e.Signer.Short(), key.ID().Short())
	}
	if _, err := e.Open(key, TypeHello); err != nil {
		return h, key, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return h, key, nil
}

func (s *Server) appraise(stream io.ReadWriter, w welcome) error {
	if err := sealed(stream, s.cfg.Key, TypeWelcome, w); err != nil {
		return err
	}
	evidence, err := receive(stream)
	if err != nil {
		return err
	}
	result, err := s.cfg.Appraise(evidence, attest.Want{Subject: w.Machine, Nonce: w.Nonce, NowUnixNS: s.cfg.Now().UnixNano()})
	if err != nil {
		return err
	}
	return send(stream, answer{Body: result})
}

func (s *Server) enrol(stream io.ReadWriter, w welcome) error {
	if err := sealed(stream, s.cfg.Key, TypeWelcome, w); err != nil {
		return err
	}
	application, err := receive(stream)
	if err != nil {
		return err
	}
	challenge, finish, err := s.cfg.Enrol(application)
	if err != nil {
		return err
	}
	if err := send(stream, answer{Body: challenge}); err != nil {
		return err
	}
	secret, err := receive(stream)
	if err != nil {
		return err
	}
	record, err := finish(secret)
	if err != nil {
		return err
	}
	return send(stream, answer{Body: record})
}
