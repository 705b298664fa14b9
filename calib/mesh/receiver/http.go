package receiver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/ursa-virtual/ursa/beacon/prober"
	"github.com/ursa-virtual/ursa/beacon/statement"
)

// The path of the door and what passes it: a POST of an encoded challenge, answered with an encoded proof, and a GET, answered with the
// receiver's card. All are signed, so that the door needs no secret; it may stand behind TLS where its traffic is nobody's business.
const (
	Path        = "/ursa/1/measure"
	contentType = "application/cbor"
	// doorTime is how long an exchange may take from knock to answer.
	doorTime = 25 * time.Second
)

// Handler lets instructions in over HTTP: 200 with the proof, 409 when busy, 403 for an instruction that is not signed by a gate of
// the directory, is not for this receiver or has expired, 502 when the beacon that was asked gave no statement.
func (r *Receiver) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+Path, func(w http.ResponseWriter, req *http.Request) {
		instruction, err := io.ReadAll(http.MaxBytesReader(w, req.Body, statement.MaxChallengeSize))
		if err != nil {
			http.Error(w, "instruction too large or cut off", http.StatusBadRequest)
			return
		}
		ctx, cancel := context.WithTimeout(req.Context(), doorTime)
		defer cancel()
		proof, err := r.Measure(ctx, instruction)
		if err != nil {
			http.Error(w, err.Error(), status(err))
			return
		}
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(proof) // the caller may have gone
	})
	mux.HandleFunc("GET "+Path, func(w http.ResponseWriter, _ *http.Request) {
		if r.card == nil {
			http.Error(w, "this receiver has no card", http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(r.card)
	})
	return mux
}

func status(err error) int {
	switch {
	case errors.Is(err, ErrBusy):
		return http.StatusConflict
	case errors.Is(err, ErrNoAnswer):
		return http.StatusBadGateway
	case errors.Is(err, prober.ErrChallenge), errors.Is(err, prober.ErrNotMine):
		return http.StatusForbidden
	}
	return http.StatusInternalServerError
}

// ErrDoor reports a receiver that cannot be reached or refused an instruction.
var ErrDoor = errors.New("receiver gave no answer at its door")

// Knock sends an instruction to the receiver at a base URL and returns its proof: a claim, to be verified. client nil means one that
// waits as long as the door does.
func Knock(ctx context.Context, client *http.Client, base string, instruction []byte) ([]byte, error) {
	return visit(ctx, client, http.MethodPost, base, instruction, statement.MaxProofSize)
}

// Ask returns the card of the receiver at a base URL: a claim, to be opened with OpenCard. client is as for Knock.
func Ask(ctx context.Context, client *http.Client, base string) ([]byte, error) {
	return visit(ctx, client, http.MethodGet, base, nil, maxCard)
}

func visit(ctx context.Context, client *http.Client, method, base string, body []byte, most int) ([]byte, error) {
	if client == nil {
		client = &http.Client{Timeout: doorTime + 5*time.Second}
	}
	req, err := http.NewRequestWithContext(ctx, method, base+Path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDoor, err)
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDoor, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, int64(most)+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrDoor, err)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%w: %s: %.200s", ErrDoor, resp.Status, bytes.TrimSpace(answer))
	case len(answer) > most:
		return nil, fmt.Errorf("%w: more than %d bytes", ErrDoor, most)
	}
	return answer, nil
}
