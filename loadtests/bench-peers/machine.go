package main

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// A machine is where and with what was measured. Figures of two machines must not be compared.
type machine struct {
	Date      string `json:"date"`
	Kernel    string `json:"kernel"`
	Processor string `json:"processor"`
	Cores     int    `json:"cores"`
	Memory    string `json:"memory"`
	Go        string `json:"go"`
	Node      string `json:"node"`
	Python    string `json:"python"`
}

func thisMachine() machine {
	return machine{
		Date:      time.Now().UTC().Format(time.DateOnly),
		Kernel:    said("uname", "-sr"),
		Processor: lineOf("/proc/cpuinfo", "model name"),
		Cores:     runtime.NumCPU(),
		Memory:    lineOf("/proc/meminfo", "MemTotal"),
		Go:        runtime.Version(),
		Node:      said("node", "--version"),
		Python:    strings.TrimPrefix(said("/usr/bin/python3", "--version"), "Python "),
	}
}

func said(program string, args ...string) string {
	out, err := exec.Command(program, args...).Output()
	if err != nil {
		return "none"
	}
	return strings.TrimSpace(string(out))
}

// lineOf is the value behind the first "name: value" of a file of /proc.
func lineOf(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	m := regexp.MustCompile(`(?m)^` + name + `\s*:\s*(.*)$`).FindSubmatch(text)
	if m == nil {
		return "unknown"
	}
	return cmp.Or(strings.TrimSpace(string(m[1])), "unknown")
}

// String is the machine in one line.
func (m machine) String() string {
	memory := m.Memory
	var kb float64
	if _, err := fmt.Sscanf(memory, "%f kB", &kb); err == nil {
		memory = fmt.Sprintf("%.0f GB", kb/(1<<20))
	}
	return fmt.Sprintf("%s, %s, %d cores (%s), %s of memory, Go %s, Node.js %s, Python %s",
		m.Date, m.Kernel, m.Cores, m.Processor, memory, strings.TrimPrefix(m.Go, "go"), strings.TrimPrefix(m.Node, "v"), m.Python)
}
