package main

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/calib/mesh/collect"
	"github.com/ursa-virtual/ursa/calib/mesh/receiver"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// calibFleetFlags say which running beacons `calib run` instructs, and with whose key.
type calibFleetFlags struct {
	directory, trust, gateKey string
	receivers                 []string
	keys                      keyFlags
}

func (f *calibFleetFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.receivers, "receiver", nil, "`URL` of a running beacon's receiver; repeat for each beacon")
	flags.StringVar(&f.directory, "directory", "", "`FILE` of the signed directory (with --receiver)")
	flags.StringVar(&f.trust, "trust", "", "the constellation's trust `FILE` (with --receiver)")
	flags.StringVar(&f.gateKey, "gate-key", "", "key `FILE` of a gate that the directory lists: it signs the instructions (with --receiver)")
	f.keys.register(cmd)
}

// unwanted refuses flags that mean nothing without a receiver.
func (f *calibFleetFlags) unwanted() error {
	for flag, value := range map[string]string{"--directory": f.directory, "--trust": f.trust, "--gate-key": f.gateKey} {
		if value != "" {
			return usagef("%s goes with --receiver URL, which is missing", flag)
		}
	}
	return nil
}

// runFleet measures running beacons.
func (o *calibRunFlags) runFleet(cmd *cobra.Command) error {
	if err := needFlags(cmd, "directory", "trust", "gate-key"); err != nil {
		return err
	}
	for _, flag := range []string{"data", "beacons", "liar"} {
		if cmd.Flags().Changed(flag) {
			return usagef("--%s is for beacons over simulated distance: leave it out with --receiver", flag)
		}
	}
	c, err := o.fleet.open(cmd)
	if err != nil {
		return err
	}
	shape, err := o.shape(len(c.members))
	if err != nil {
		return err
	}
	secret, err := calibSecret(o.dir)
	if err != nil {
		return err
	}
	if !cmd.Flags().Changed("seed") { // whoever knows the seed knows when it is asked
		shape.Seed = identity.Hash("calibration seed", secret[:])
	}
	return o.collect(cmd, shape, c)
}

// open verifies the directory, loads the gate's key, and lets every receiver show its card.
func (f *calibFleetFlags) open(cmd *cobra.Command) (c calibConstellation, err error) {
	if len(f.receivers) < 2 {
		return c, usagef("one receiver has nobody to measure: say --receiver URL for each of at least two beacons")
	}
	trust, err := readTrust(f.trust)
	if err != nil {
		return c, err
	}
	d, err := trust.openDirectory(f.directory, nil)
	if err != nil {
		return c, err
	}
	protect, err := f.keys.protector(cmd, false)
	if err != nil {
		return c, err
	}
	if c.gate, err = identity.LoadKey(f.gateKey, protect); err != nil {
		return c, fmt.Errorf("--gate-key: %w", err)
	}
	if !slices.ContainsFunc(d.Gates, func(g identity.Public) bool { return g.ID() == c.gate.ID() }) {
		return c, usagef("--gate-key: the directory does not list %s as a gate; no receiver would obey it", c.gate.ID().Short())
	}
	doors := calibDoors{}
	for _, address := range f.receivers {
		m, door, err := calibCard(cmd.Context(), address, d.Directory)
		if err != nil {
			return c, err
		}
		if _, twice := doors[m.Beacon]; twice {
			return c, usagef("--receiver %s: beacon %s has another one already", address, m.Beacon.Short())
		}
		doors[m.Beacon] = door
		c.members = append(c.members, m)
	}
	slices.SortFunc(c.members, func(a, b collect.Member) int { return a.Beacon.Compare(b.Beacon) })
	c.directory, c.link, c.node = d.Directory, doors, calibNode
	return c, nil
}

// calibCard asks a receiver who it is.
func calibCard(ctx context.Context, address string, d *directory.Directory) (m collect.Member, door string, err error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return m, "", usagef("--receiver %q: say a URL such as http://192.0.2.7:9444", address)
	}
	door = strings.TrimSuffix(address, "/")
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	card, err := receiver.Ask(ctx, nil, door)
	if err != nil {
		return m, "", fmt.Errorf("%s: is 'ursa beacon serve --receiver' running there? %w", address, err)
	}
	if m.Beacon, m.Receiver, err = receiver.OpenCard(card, d); err != nil {
		return m, "", fmt.Errorf("%s: %w", address, err)
	}
	return m, door, nil
}

// calibDoors carries instructions to receivers over HTTP. It implements collect.Link.
type calibDoors map[identity.ID]string

// Measure implements collect.Link.
func (d calibDoors) Measure(ctx context.Context, m collect.Member, instruction []byte) ([]byte, error) {
	return receiver.Knock(ctx, nil, d[m.Beacon], instruction)
}

// calibNode describes a beacon by its directory entry; the country is the atlas's.
func calibNode(b directory.Beacon) dataset.Node {
	at, _ := b.ECEF().LatLon()
	n := dataset.Node{Name: b.Place, At: at, Source: "receivers"}
	if p, ok := atlas.LookupNear(at, atlas.SnapDistance); ok {
		n.Country = p.Country
	}
	return n
}
