package monitor

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/client"

	"github.com/ursa-virtual/ursa/lockgate/ledger"
)

// Source is where the ledger's checkpoint and tiles are read (C2SP tlog-tiles).
type Source interface {
	ReadCheckpoint(ctx context.Context) ([]byte, error)
	ReadTile(ctx context.Context, level, index uint64, partial uint8) ([]byte, error)
	ReadEntryBundle(ctx context.Context, index uint64, partial uint8) ([]byte, error)
}

// Open makes a source of a directory or of an http(s) address.
func Open(at string, c *http.Client) (Source, error) {
	if !strings.HasPrefix(at, "http://") && !strings.HasPrefix(at, "https://") {
		if st, err := os.Stat(at); err != nil || !st.IsDir() {
			return nil, fmt.Errorf("monitor: %q is no folder and no http(s) address of a ledger", at)
		}
		return client.FileFetcher{Root: at}, nil
	}
	u, err := url.Parse(strings.TrimSuffix(at, "/") + "/")
	if err != nil {
		return nil, fmt.Errorf("monitor: %q: %w", at, err)
	}
	return client.NewHTTPFetcher(u, c)
}

// fetch reads leaves from..to (to excluded) of a log that has at least so many.
func fetch(ctx context.Context, s Source, from, to uint64) ([][]byte, error) {
	var out [][]byte
	for at := from; at < to; {
		b, err := client.GetEntryBundle(ctx, s.ReadEntryBundle, at/256, to)
		if err != nil {
			return nil, fmt.Errorf("monitor: reading leaf %d: %w", at, err)
		}
		skip := at % 256
		if uint64(len(b.Entries)) <= skip {
			return nil, fmt.Errorf("monitor: the ledger lacks leaf %d of %d", at, to)
		}
		got := b.Entries[skip:]
		got = got[:min(uint64(len(got)), to-at)]
		out = append(out, got...)
		at += uint64(len(got))
	}
	return out, nil
}

// consistent says whether the later of two checkpoints has grown out of the
// earlier one, by a consistency proof (RFC 6962, section 2.1.2) that is made of
// the tiles of whoever shows the later one. The error is of reading them.
func consistent(ctx context.Context, s Source, earlier, later ledger.Checkpoint) (bool, error) {
	switch {
	case earlier.Size == 0:
		return true, nil
	case earlier.Size == later.Size:
		return earlier.Root == later.Root, nil
	}
	b, err := client.NewProofBuilder(ctx, later.Size, s.ReadTile)
	if err != nil {
		return false, fmt.Errorf("monitor: %w", err)
	}
	hashes, err := b.ConsistencyProof(ctx, earlier.Size, later.Size)
	if err != nil {
		return false, fmt.Errorf("monitor: reading the proof that %d leaves are a beginning of %d: %w", earlier.Size, later.Size, err)
	}
	return proof.VerifyConsistency(rfc6962.DefaultHasher, earlier.Size, later.Size, hashes, earlier.Root[:], later.Root[:]) == nil, nil
}
