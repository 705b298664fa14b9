package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
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
	"github.com/ursa-virtual/ursa/topology/directory"
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
	exchange  time.Duration
	perMinute int
	seed      uint64
	liars     []string
	fleet     calibFleetFlags
	json      bool
}

func calibRunCommand() *cobra.Command {
	var o calibRunFlags
	cmd := &cobra.Command{
		Use:   "run --dir DIR",
		Short: "Let beacons measure each other, and keep the verified statements",
		Long: "Instructs the receivers of running beacons ('ursa beacon serve --receiver') with the key of a gate that the\n" +
			"directory lists. Without --receiver it starts beacons with receivers in this process, at real cities over simulated\n" +
			"distance; everything else is real: QUIC, exchanges, signatures, the book.\n\n" +
			"Every ordered pair is measured once in a period, in an order that a seed decides. DIR keeps a secret and the book:\n" +
			"run again after an interruption, a crash or a kill, and it goes on. At the end DIR/measured is a data set for\n" +
			"'ursa calib audit' and 'ursa eval', DIR/series.csv a table for 'ursa calib watch', and DIR/statements.csv holds every\n" +
			"statement for research.",
		Example: "  ursa calib run --dir calib\n" +
			"  ursa calib run --dir calib --beacons 12 --liar Ashburn=Lagos && ursa calib audit --data calib/measured --f 1\n" +
			"  ursa calib run --dir calib --directory directory.ursa --trust trust.json --gate-key gate/gate.key --passphrase-file pass \\\n" +
			"    --receiver http://192.0.2.7:9444 --receiver http://198.51.100.3:9444 --period 24h",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.dir, "dir", "", "folder for secret, book and results; made when it is not there")
	flags.StringVar(&o.data, "data", "", "folder of a measured set whose places and delays to use instead of the built-in cities")
	flags.IntVar(&o.beacons, "beacons", 8, "number of beacons")
	flags.DurationVar(&o.period, "period", 0, "time for all pairs (default: the shortest that the exchanges allow)")
	flags.DurationVar(&o.exchange, "exchange", calibExchange, "the longest that one exchange takes, with its handshake")
	flags.IntVar(&o.perMinute, "per-minute", calibPerMinute, "exchanges that a beacon takes part in within any minute, at most")
	flags.Uint64Var(&o.seed, "seed", 1, "of the choice of cities, of jitter and of the order of measuring (with --receiver: the folder's secret)")
	flags.StringArrayVar(&o.liars, "liar", nil, "CITY=CLAIM: a beacon that stands in CITY and claims to stand in CLAIM")
	o.fleet.register(cmd)
	flags.BoolVar(&o.json, "json", false, "print one JSON object at the end")
	return cmd
}

// calibConstellation is whom a run measures: running beacons, or some of its own.
type calibConstellation struct {
	members   []collect.Member
	gate      *identity.Private
	directory *directory.Directory
	link      collect.Link
	node      func(directory.Beacon) dataset.Node
}

// calibStand is a place of a beacon to be.
type calibStand struct{ stands, claims world.Place }

func (o *calibRunFlags) run(cmd *cobra.Command) error {
	switch {
	case o.dir == "":
		return usagef("no folder: say --dir DIR, where secret, book and results are kept")
	case o.exchange < 100*time.Millisecond || o.exchange > 10*time.Minute:
		return usagef("--exchange %v: say 100ms to 10m", o.exchange)
	case o.perMinute < 1:
		return usagef("--per-minute %d: say 1 or more", o.perMinute)
	}
	if len(o.fleet.receivers) > 0 {
		return o.runFleet(cmd)
	}
	return o.runLocal(cmd)
}

// runLocal measures a constellation of its own.
func (o *calibRunFlags) runLocal(cmd *cobra.Command) error {
	if err := o.fleet.unwanted(); err != nil {
		return err
	}
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
	c, err := o.startLocal(ctx, secret, net, ground, stands)
	if err != nil {
		return err
	}
	defer c.Close()
	return o.collect(cmd, shape, calibConstellation{c.Members, c.Gate, c.Directory, c, func(b directory.Beacon) dataset.Node {
		i := slices.IndexFunc(stands, func(s calibStand) bool { return s.claims.String() == b.Place })
		p := stands[i].claims
		return dataset.Node{Name: p.Name, Country: p.Country, At: p.At, Source: "receivers over simulated distance"}
	}})
}

// plan checks the flags and chooses the cities: those of the liars and others by the seed.
func (o *calibRunFlags) plan() (shape mesh.Config, stands []calibStand, ground *world.Network, err error) {
	fail := func(err error) (mesh.Config, []calibStand, *world.Network, error) { return shape, nil, nil, err }
	switch {
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
	if shape, err = o.shape(len(stands)); err != nil {
		return fail(err)
	}
	return shape, stands, w.Network(), nil
}

// shape is the plan's, its seed from --seed.
func (o *calibRunFlags) shape(beacons int) (mesh.Config, error) {
	c := mesh.Config{Beacons: beacons, Period: o.period, Exchange: o.exchange, PerMinute: o.perMinute}
	rounds := 2 * (beacons + beacons%2 - 1)
	if c.Period == 0 { // rounds as long as exchanges, or as the budget wants them
		c.Period = time.Duration(rounds) * max(o.exchange, time.Minute/time.Duration(o.perMinute)+o.exchange/8)
	}
	binary.LittleEndian.PutUint64(c.Seed[:], o.seed)
	if _, err := mesh.New(c); err != nil {
		return c, usagef("--period, --exchange, --per-minute: %w", err)
	}
	return c, nil
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

// startLocal opens two sockets in each city and starts everything.
func (o *calibRunFlags) startLocal(ctx context.Context, secret [32]byte, f *fabric.Fabric, ground *world.Network, stands []calibStand) (*local.Constellation, error) {
	limits := exchange.DefaultLimits()
	limits.Budget, limits.Timeout, limits.Deadline = 300*time.Millisecond, time.Second, max(time.Second, o.exchange)
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
func (o *calibRunFlags) collect(cmd *cobra.Command, shape mesh.Config, c calibConstellation) error {
	ctx, errOut := cmd.Context(), cmd.ErrOrStderr()
	b, err := book.Open(ctx, filepath.Join(o.dir, "book.db"))
	if err != nil {
		return err
	}
	defer b.Close()
	plan, err := mesh.New(shape)
	if err != nil {
		return err
	}
	start := time.Now()
	last, ok, err := b.Last(ctx)
	if err != nil {
		return err
	}
	if began := time.Unix(0, last.StartUnixNS); ok && time.Since(began) < 2*shape.Period && collect.PeriodOf(shape, c.members, began).ID == last.ID {
		start = began
		fmt.Fprintf(errOut, "going on with the period of %s\n", began.UTC().Format(time.RFC3339))
	}
	period := collect.PeriodOf(shape, c.members, start)
	fmt.Fprintf(errOut, "%d beacons, %d ordered pairs, about %v\n", len(c.members), plan.Pairs(), shape.Period)
	out, err := collect.Run(ctx, collect.Config{Plan: plan, Members: c.members, Start: start, Gate: c.gate, Directory: c.directory, Link: c.link,
		Book: b, Random: rand.Reader, Now: time.Now, Wait: collect.Sleep, Timeout: 4 * o.exchange, NextDoor: calibNextDoor, Progress: c.progress(errOut)}, period)
	if err != nil {
		return err
	}
	for i, why := range out.Away {
		fmt.Fprintf(errOut, "%s: its receiver is not believed: %s\n", c.place(c.members[i].Beacon), oneLine(why.Error()))
	}
	// An interrupted run still leaves what it has: the results are written without the interrupted context.
	if err := o.export(context.WithoutCancel(ctx), b, period, c); err != nil {
		return err
	}
	return o.summary(cmd.OutOrStdout(), out, plan.Pairs())
}

func (c calibConstellation) place(id identity.ID) string {
	b, _ := c.directory.Lookup(id)
	return b.Place
}

// progress prints a line for each exchange.
func (c calibConstellation) progress(errOut io.Writer) func(collect.Progress) {
	return func(p collect.Progress) {
		from, to := c.place(p.From.Beacon), c.place(p.To.Beacon)
		if p.Err != nil {
			fmt.Fprintf(errOut, "%s - %s: %v\n", from, to, oneLine(p.Err.Error()))
			return
		}
		fmt.Fprintf(errOut, "%s - %s: %v, %d left\n", from, to, p.RTT, p.Left)
	}
}

// export writes the period as a data set, and all periods as series and as statements.
func (o *calibRunFlags) export(ctx context.Context, b *book.Book, period book.Period, c calibConstellation) error {
	set, err := b.Set(ctx, "measured", period, func(id identity.ID) dataset.Node {
		d, _ := c.directory.Lookup(id)
		return c.node(d)
	})
	if err != nil {
		return err
	}
	if err := set.Save(filepath.Join(o.dir, "measured"), false); err != nil {
		return err
	}
	if err := calibWrite(filepath.Join(o.dir, "series.csv"), func(w io.Writer) error { return b.WriteSeries(ctx, w) }); err != nil {
		return err
	}
	return calibWrite(filepath.Join(o.dir, "statements.csv"), func(w io.Writer) error { return b.WriteStatements(ctx, w) })
}

func (o *calibRunFlags) summary(w io.Writer, out collect.Outcome, pairs int) error {
	if o.json {
		return json.NewEncoder(w).Encode(map[string]any{"pairs": pairs, "finished": out.Finished, "failed": len(out.Failed), "away": len(out.Away),
			"measured": filepath.Join(o.dir, "measured"), "series": filepath.Join(o.dir, "series.csv"), "statements": filepath.Join(o.dir, "statements.csv"), "book": filepath.Join(o.dir, "book.db")})
	}
	_, err := fmt.Fprintf(w, "%d of %d pairs are measured, %d failed, %d receivers are not believed; see %s\n", out.Finished, pairs, len(out.Failed), len(out.Away), filepath.Join(o.dir, "measured"))
	if out.Finished < pairs {
		_, err = fmt.Fprintln(w, "The same command goes on.")
	}
	return err
}
