package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/calib/mesh"
	"github.com/ursa-virtual/ursa/calib/mesh/book"
	"github.com/ursa-virtual/ursa/calib/mesh/collect"
	"github.com/ursa-virtual/ursa/calib/mesh/local"
	"github.com/ursa-virtual/ursa/simnet/fabric"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// What one exchange may take here, handshake and instruction included: three times the longest round trip on Earth for the handshake
// and eight for the rounds of the farthest pair. A receiver next door to its beacon measures it within two milliseconds.
const (
	calibExchange             = 6 * time.Second
	calibPerMinute            = 12
	calibNextDoor   earth.RTT = 2_000_000
	calibMaxBeacons           = 64 // in one process
)

type calibRunFlags struct {
	dir, data string
	beacons   int
	period    time.Duration
	seed      uint64
	liars     []string
	json      bool
}

func calibRunCommand() *cobra.Command {
	var o calibRunFlags
	cmd := &cobra.Command{
		Use:   "run --dir DIR",
		Short: "Let beacons measure each other, and keep the verified statements",
		Long: "Starts beacons with receivers in this process, at real cities over simulated distance; everything else is\n" +
			"real: QUIC, exchanges, signatures, the book. Every ordered pair is measured once in a period, in an order that\n" +
			"a seed decides. DIR keeps the constellation's secret and the book: run again after an interruption and it goes\n" +
			"on. At the end DIR/measured is a data set for 'ursa calib audit' and DIR/series.csv a table for 'ursa calib watch'.",
		Example: "  ursa calib run --dir calib\n" +
			"  ursa calib run --dir calib --beacons 12 --liar Ashburn=Lagos && ursa calib audit --data calib/measured --f 1",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.dir, "dir", "", "folder for secret, book and results; made when it is not there")
	flags.StringVar(&o.data, "data", "", "folder of a measured set whose places and delays to use instead of the built-in cities")
	flags.IntVar(&o.beacons, "beacons", 8, "number of beacons")
	flags.DurationVar(&o.period, "period", 0, "time for all pairs (default: the shortest that the exchanges allow)")
	flags.Uint64Var(&o.seed, "seed", 1, "of the choice of cities, of jitter and of the order of measuring")
	flags.StringArrayVar(&o.liars, "liar", nil, "CITY=CLAIM: a beacon that stands in CITY and claims to stand in CLAIM")
	flags.BoolVar(&o.json, "json", false, "print one JSON object at the end")
	return cmd
}

// calibStand is a place of a beacon to be.
type calibStand struct{ stands, claims world.Place }

func (o *calibRunFlags) run(cmd *cobra.Command) error {
	shape, stands, ground, err := o.plan()
	if err != nil {
		return err
	}
	secret, err := calibSecret(o.dir)
	if err != nil {
		return err
	}
	net, err := fabric.New(fabric.Config{Seed: o.seed, Path: ground})
	if err != nil {
		return err
	}
	defer net.Close()
	ctx := cmd.Context()
	c, err := calibConstellation(ctx, secret, net, ground, stands)
	if err != nil {
		return err
	}
	defer c.Close()
	b, err := book.Open(ctx, filepath.Join(o.dir, "book.db"))
	if err != nil {
		return err
	}
	defer b.Close()
	return o.collect(cmd, shape, stands, c, b)
}

// plan checks the flags and chooses the cities: those of the liars and others by the seed.
func (o *calibRunFlags) plan() (shape mesh.Config, stands []calibStand, ground *world.Network, err error) {
	fail := func(err error) (mesh.Config, []calibStand, *world.Network, error) { return shape, nil, nil, err }
	switch {
	case o.dir == "":
		return fail(usagef("no folder: say --dir DIR, where secret, book and results are kept"))
	case o.beacons < 2 || o.beacons > calibMaxBeacons:
		return fail(usagef("--beacons %d is not within 2..%d", o.beacons, calibMaxBeacons))
	case len(o.liars) > o.beacons:
		return fail(usagef("%d liars among %d beacons", len(o.liars), o.beacons))
	}
	w, err := o.world()
	if err != nil {
		return fail(err)
	}
	if stands, err = o.choose(w); err != nil {
		return fail(err)
	}
	shape = mesh.Config{Beacons: len(stands), Period: o.period, Exchange: calibExchange, PerMinute: calibPerMinute}
	if shape.Period == 0 {
		shape.Period = time.Duration(2*(len(stands)+len(stands)%2-1)) * calibExchange
	}
	shape.Seed[0], shape.Seed[1] = byte(o.seed), byte(o.seed>>8)
	if _, err := mesh.New(shape); err != nil {
		return fail(usagef("--period: %w", err))
	}
	return shape, stands, w.Network(), nil
}

func (o *calibRunFlags) world() (*world.World, error) {
	if o.data == "" {
		return world.Builtin(world.Config{Seed: o.seed})
	}
	set, err := calibLoad("--data", o.data)
	if err != nil {
		return nil, err
	}
	return world.Measured(set, o.seed)
}

func (o *calibRunFlags) choose(w *world.World) (stands []calibStand, err error) {
	taken := map[string]bool{}
	for _, l := range o.liars {
		city, claim, ok := strings.Cut(l, "=")
		if !ok {
			return nil, usagef("--liar %q: say CITY=CLAIM, such as Ashburn=Lagos", l)
		}
		s := calibStand{}
		if s.stands, err = w.Find(city); err != nil {
			return nil, usagef("--liar: %w", err)
		}
		if s.claims, err = w.Find(claim); err != nil {
			return nil, usagef("--liar: %w", err)
		}
		if taken[s.stands.ID] {
			return nil, usagef("--liar %q: one beacon stands there already", l)
		}
		taken[s.stands.ID] = true
		stands = append(stands, s)
	}
	places := w.Places()
	mathrand.New(mathrand.NewPCG(o.seed, 0xca11b)).Shuffle(len(places), func(i, j int) { places[i], places[j] = places[j], places[i] })
	for _, p := range places {
		if len(stands) < o.beacons && !taken[p.ID] {
			stands = append(stands, calibStand{p, p})
		}
	}
	if len(stands) < o.beacons {
		return nil, usagef("--beacons %d: the world has %d places", o.beacons, len(places))
	}
	return stands, nil
}

// calibSecret reads the folder's secret, or makes folder and secret.
func calibSecret(dir string) (secret [32]byte, err error) {
	path := filepath.Join(dir, "secret")
	text, err := os.ReadFile(path)
	if err == nil {
		raw, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil || len(raw) != len(secret) {
			return secret, fmt.Errorf("%s is no secret of 64 hex digits; take another folder, or remove it to begin anew", path)
		}
		return [32]byte(raw), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return secret, usagef("--dir: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return secret, usagef("--dir: %w", err)
	}
	if _, err := rand.Read(secret[:]); err != nil {
		return secret, err
	}
	return secret, os.WriteFile(path, []byte(hex.EncodeToString(secret[:])+"\n"), 0o600)
}

// calibConstellation opens two sockets in each city and starts everything.
func calibConstellation(ctx context.Context, secret [32]byte, f *fabric.Fabric, ground *world.Network, stands []calibStand) (*local.Constellation, error) {
	limits := exchange.DefaultLimits()
	limits.Budget, limits.Timeout, limits.Deadline = 300*time.Millisecond, time.Second, calibExchange
	cfg := local.Config{Secret: secret, Epoch: 1, Now: time.Now().Add(-time.Second), Limits: limits, Resolve: calibResolve}
	for i, s := range stands {
		site := local.Site{Place: s.claims.String(), Claims: s.claims.At}
		for name, socket := range map[string]*net.PacketConn{"beacon": &site.Beacon, "receiver": &site.Receiver} {
			// Addresses by number: an interrupted run finds the same constellation again.
			host := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i), byte(len(name))}), 4433)
			e, err := f.Listen(fmt.Sprintf("%s %d", name, i+1), host)
			if err != nil {
				return nil, err
			}
			ground.Place(host.Addr(), s.stands)
			*socket = e
		}
		cfg.Sites = append(cfg.Sites, site)
	}
	return local.Start(ctx, cfg)
}

func calibResolve(_ context.Context, address string) (net.Addr, error) {
	a, err := netip.ParseAddrPort(address)
	return net.UDPAddrFromAddrPort(a), err
}

// collect walks through the period, or goes on with the one that was interrupted, and writes the results.
func (o *calibRunFlags) collect(cmd *cobra.Command, shape mesh.Config, stands []calibStand, c *local.Constellation, b *book.Book) error {
	ctx, errOut := cmd.Context(), cmd.ErrOrStderr()
	plan, err := mesh.New(shape)
	if err != nil {
		return err
	}
	start := time.Now()
	last, ok, err := b.Last(ctx)
	if err != nil {
		return err
	}
	if began := time.Unix(0, last.StartUnixNS); ok && time.Since(began) < 2*shape.Period && collect.PeriodOf(shape, c.Members, began).ID == last.ID {
		start = began
		fmt.Fprintf(errOut, "going on with the period of %s\n", began.UTC().Format(time.RFC3339))
	}
	period := collect.PeriodOf(shape, c.Members, start)
	fmt.Fprintf(errOut, "%d beacons, %d ordered pairs, about %v\n", len(c.Members), plan.Pairs(), shape.Period)
	name := func(id identity.ID) string { d, _ := c.Directory.Lookup(id); return d.Place }
	out, err := collect.Run(ctx, collect.Config{Plan: plan, Members: c.Members, Start: start, Gate: c.Gate, Directory: c.Directory, Link: c,
		Book: b, Random: rand.Reader, Now: time.Now, Wait: collect.Sleep, Timeout: 4 * calibExchange, NextDoor: calibNextDoor,
		Progress: func(p collect.Progress) {
			if p.Err != nil {
				fmt.Fprintf(errOut, "%s - %s: %v\n", name(p.From.Beacon), name(p.To.Beacon), oneLine(p.Err.Error()))
				return
			}
			fmt.Fprintf(errOut, "%s - %s: %v, %d left\n", name(p.From.Beacon), name(p.To.Beacon), p.RTT, p.Left)
		}}, period)
	if err != nil {
		return err
	}
	// An interrupted run still leaves what it has: the results are written without the interrupted context.
	if err := o.export(context.WithoutCancel(ctx), b, period, stands, c); err != nil {
		return err
	}
	return o.summary(cmd.OutOrStdout(), out, plan.Pairs())
}

// export writes the period as a data set and all periods as series.
func (o *calibRunFlags) export(ctx context.Context, b *book.Book, period book.Period, stands []calibStand, c *local.Constellation) error {
	set, err := b.Set(ctx, "measured", period, func(id identity.ID) dataset.Node {
		d, _ := c.Directory.Lookup(id)
		i := slices.IndexFunc(stands, func(s calibStand) bool { return s.claims.String() == d.Place })
		p := stands[i].claims
		return dataset.Node{Name: p.Name, Country: p.Country, At: p.At, Source: "receivers over simulated distance"}
	})
	if err != nil {
		return err
	}
	if err := set.Save(filepath.Join(o.dir, "measured"), false); err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(o.dir, "series.csv"))
	if err != nil {
		return err
	}
	return cmp.Or(b.WriteSeries(ctx, file), file.Close())
}

func (o *calibRunFlags) summary(w io.Writer, out collect.Outcome, pairs int) error {
	if o.json {
		return json.NewEncoder(w).Encode(map[string]any{"pairs": pairs, "finished": out.Finished, "failed": len(out.Failed), "away": len(out.Away),
			"measured": filepath.Join(o.dir, "measured"), "series": filepath.Join(o.dir, "series.csv"), "book": filepath.Join(o.dir, "book.db")})
	}
	_, err := fmt.Fprintf(w, "%d of %d pairs are measured, %d failed, %d receivers are not believed; see %s\n", out.Finished, pairs, len(out.Failed), len(out.Away), filepath.Join(o.dir, "measured"))
	if out.Finished < pairs {
		_, err = fmt.Fprintln(w, "The same command goes on.")
	}
	return err
}
