package timing

// TimespecNS reads a kernel's receive stamp, for benchmarks.
func TimespecNS(body []byte) int64 { return timespecNS(body) }
