package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/exchange/channel"
	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/beacon/timing/drive"
)

// attestation is the result in use.
type attestation struct {
	encoded []byte
	clock   bool
}

func checkAttestation(encoded []byte) error {
	if len(encoded) == 0 || len(encoded) > statement.MaxResultSize {
		return fmt.Errorf("%w: the attestation result must have 1 to %d bytes", ErrConfig, statement.MaxResultSize)
	}
	return nil
}

// SetAttestation puts a fresh attestation result in force for exchanges that begin from now on. clockAttested says that it covers the
// source of time.
func (s *Server) SetAttestation(encoded []byte, clockAttested bool) error {
	if err := checkAttestation(encoded); err != nil {
		return err
	}
	s.result.Store(&attestation{bytes.Clone(encoded), clockAttested})
	return nil
}

// quoter makes evidence for many askers at a time: whoever asks while one quote is being made is answered by the next.
type quoter struct {
	collect func(ctx context.Context, nonce [32]byte) ([]byte, error)
	asks    chan quoteAsk
}

type quoteAsk struct {
	nonce  [32]byte
	answer chan<- exchange.Shown // buffered; no evidence when collecting failed
}

func newQuoter(collect func(context.Context, [32]byte) ([]byte, error)) *quoter {
	return &quoter{collect: collect, asks: make(chan quoteAsk)}
}

// run makes one piece of evidence after the other until ctx ends.
func (q *quoter) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case first := <-q.asks:
			q.serve(ctx, q.gather(first))
		}
	}
}

// gather takes everybody who is waiting by now.
func (q *quoter) gather(first quoteAsk) []quoteAsk {
	batch := []quoteAsk{first}
	for len(batch) < exchange.MaxShared {
		select {
		case a := <-q.asks:
			batch = append(batch, a)
		default:
			return batch
		}
	}
	return batch
}

func (q *quoter) serve(ctx context.Context, batch []quoteAsk) {
	var s exchange.Shown
	for _, a := range batch {
		s.Nonces = append(s.Nonces, a.nonce)
	}
	var err error
	if s.Evidence, err = q.collect(ctx, exchange.SharedNonce(s.Nonces)); err != nil || len(s.Evidence) > exchange.MaxEvidence {
		s = exchange.Shown{} // the asker sees that there is none and decides
	}
	for _, a := range batch {
		a.answer <- s
	}
}

// get waits for evidence that answers the nonce.
func (q *quoter) get(ctx context.Context, nonce [32]byte) (exchange.Shown, error) {
	answer := make(chan exchange.Shown, 1)
	select {
	case q.asks <- quoteAsk{nonce, answer}:
	case <-ctx.Done():
		return exchange.Shown{}, ctx.Err()
	}
	select {
	case s := <-answer:
		return s, nil
	case <-ctx.Done():
		return exchange.Shown{}, ctx.Err()
	}
}

// show answers a core that asks for evidence before it opens the exchange, at most once, and returns the stream as the exchange shall
// see it.
func (s *Server) show(ctx context.Context, stream drive.Stream, ch channel.Channel) (drive.Stream, error) {
	var first [1]byte
	_ = stream.SetReadDeadline(time.Now().Add(s.cfg.Limits.Step))
	defer func() { _ = stream.SetReadDeadline(time.Time{}) }()
	if _, err := io.ReadFull(stream, first[:]); err != nil {
		return nil, fmt.Errorf("%w: %w", drive.ErrStream, err)
	}
	replayed := &preceded{Stream: stream, first: first[:]}
	if exchange.Kind(first[0]) != exchange.KindAsk {
		return replayed, nil
	}
	msg, err := drive.ReadMessage(replayed)
	if err != nil {
		return nil, err
	}
	nonce, err := exchange.ParseAsk(msg)
	if err != nil {
		return nil, err
	}
	var shown exchange.Shown
	if s.quotes != nil {
		if shown, err = s.quotes.get(ctx, exchange.ChannelNonce(nonce, ch.Binding)); err != nil {
			return nil, errors.Join(drive.ErrStream, err)
		}
	}
	shown.Result = s.result.Load().encoded
	answer, err := exchange.Show(shown)
	if err != nil {
		return nil, err
	}
	_ = stream.SetWriteDeadline(time.Now().Add(s.cfg.Limits.Step))
	if _, err := stream.Write(answer); err != nil {
		return nil, fmt.Errorf("%w: %w", drive.ErrStream, err)
	}
	return stream, nil
}

// preceded is a stream of which the first byte was read already.
type preceded struct {
	drive.Stream
	first []byte
}

// Read gives the byte back first.
func (p *preceded) Read(b []byte) (int, error) {
	if len(p.first) == 0 || len(b) == 0 {
		return p.Stream.Read(b)
	}
	n := copy(b, p.first)
	p.first = p.first[n:]
	return n, nil
}
