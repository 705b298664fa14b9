package service

import (
	"context"
	"fmt"
	"io"
	"net"

	"github.com/quic-go/quic-go"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/exchange/channel"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// Client goes on errands for one machine. Every field but TimedKey, Dial and Refusals must be given.
type Client struct {
	Key       *identity.Private   // the machine's
	TimedKey  identity.TimedKeyID // what evidence shall name beside it; zero for beacons
	Appraiser identity.Public     // whom it wants to meet, and whose word it takes
	Address   string              // host:port of the service
	Refusals  []error             // sentinels that the service may name; those of this package are known anyhow
	// Dial opens a connection; nil dials Address from a UDP socket of its own.
	Dial func(ctx context.Context) (*quic.Conn, error)
}

// Applicant is a machine that can be enrolled; *tpm.Machine is one.
type Applicant interface {
	Apply() (application []byte, err error)
	Activate(challenge []byte) (answer []byte, err error)
}

// Appraise collects evidence over the service's nonce and returns the encoded result: a claim until attest.VerifyResult. A refusal is a
// *Refused that wraps the sentinel of the check.
func (c Client) Appraise(ctx context.Context, a attest.Attester) (result []byte, err error) {
	err = c.visit(ctx, appraise, func(stream io.ReadWriter, nonce [32]byte) error {
		evidence, err := attest.Collect(ctx, a, attest.Binding{Subject: c.Key.ID(), TimedKey: c.TimedKey, Nonce: nonce})
		if err != nil {
			return err
		}
		result, err = c.exchange(stream, evidence)
		return err
	})
	return result, err
}

// Enrol walks through credential activation and returns the enrolment record.
func (c Client) Enrol(ctx context.Context, m Applicant) (record []byte, err error) {
	err = c.visit(ctx, enrol, func(stream io.ReadWriter, _ [32]byte) error {
		application, err := m.Apply()
		if err != nil {
			return err
		}
		challenge, err := c.exchange(stream, application)
		if err != nil {
			return err
		}
		secret, err := m.Activate(challenge)
		if err != nil {
			return err
		}
		record, err = c.exchange(stream, secret)
		return err
	})
	return record, err
}

// exchange sends one message and reads the service's answer.
func (c Client) exchange(stream io.ReadWriter, b []byte) ([]byte, error) {
	if err := sendBytes(stream, b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReach, err)
	}
	var a answer
	if err := receiveInto(stream, &a); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReach, err)
	}
	return a.Body, a.err(c.Refusals)
}

// visit opens a channel, says hello, checks the welcome and runs the errand.
func (c Client) visit(ctx context.Context, purpose string, errand func(stream io.ReadWriter, nonce [32]byte) error) error {
	dial := c.Dial
	if dial == nil {
		dial = c.dial
	}
	conn, err := dial(ctx)
	if err != nil {
		return fmt.Errorf("%w at %s: %w", ErrReach, c.Address, err)
	}
	defer func() { _ = conn.CloseWithError(0, "") }()
	defer context.AfterFunc(ctx, func() { _ = conn.CloseWithError(0, "") })()
	ch, err := channel.Check(conn)
	if err != nil {
		return err
	}
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrReach, err)
	}
	defer func() { _ = stream.Close() }()
	public, err := c.Key.Public().MarshalBinary()
	if err != nil {
		return err
	}
	h := hello{Version: version, Purpose: purpose, Key: public, Service: c.Appraiser.ID(), Binding: ch.Binding}
	if err := sealed(stream, c.Key, TypeHello, h); err != nil {
		return fmt.Errorf("%w: %w", ErrReach, err)
	}
	nonce, err := c.welcomed(stream, ch)
	if err != nil {
		return err
	}
	return errand(stream, nonce)
}

// welcomed checks the service's welcome: form, signer, signature, channel, addressee.
func (c Client) welcomed(stream io.Reader, ch channel.Channel) (nonce [32]byte, err error) {
	b, err := receive(stream)
	if err != nil {
		return nonce, fmt.Errorf("%w: %w", ErrReach, err)
	}
	var a answer
	if canon.Unmarshal(b, &a, maxMessage) == nil { // a refusal instead
		if err := a.err(c.Refusals); err != nil {
			return nonce, err
		}
		return nonce, ErrMessage
	}
	e, err := identity.DecodeEnvelope(b, maxMessage)
	if err != nil {
		return nonce, fmt.Errorf("%w: %w", ErrMessage, err)
	}
	if e.Signer != c.Appraiser.ID() {
		return nonce, fmt.Errorf("%w: %s", ErrAppraiser, e.Signer.Short())
	}
	payload, err := e.Open(c.Appraiser, TypeWelcome)
	if err != nil {
		return nonce, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	var w welcome
	if err := canon.Unmarshal(payload, &w, maxMessage); err != nil || w.Version != version {
		return nonce, ErrMessage
	}
	if w.Binding != ch.Binding || w.Machine != c.Key.ID() {
		return nonce, ErrChannel
	}
	return w.Nonce, nil
}

// dial opens a connection from a socket of its own, which ends with it.
func (c Client) dial(ctx context.Context) (*quic.Conn, error) {
	addr, err := net.ResolveUDPAddr("udp", c.Address)
	if err != nil {
		return nil, err
	}
	socket, err := net.ListenUDP("udp", nil)
	if err != nil {
		return nil, err
	}
	transport := &quic.Transport{Conn: socket}
	closeAll := func() { _ = transport.Close(); _ = socket.Close() }
	config := channel.QUIC(-1, false)
	config.KeepAlivePeriod = channel.IdleTimeout / 3 // a TPM may think for longer than a channel may be silent
	conn, err := transport.Dial(ctx, addr, channel.ClientTLS(), config)
	if err != nil {
		closeAll()
		return nil, err
	}
	context.AfterFunc(conn.Context(), closeAll)
	return conn, nil
}
