"""Use every tool of `character3d mcp` over standard input and output, with the SDK's own client.

    ask_mcp.py COMMAND URL FOLDER

Writes what it was told as JSON. Run by test_client_package.py in an environment that has the package mcp.
"""

import asyncio
import json
import sys
from pathlib import Path

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


async def call(session, name, **arguments):
    """A tool's answer as its blocks; RuntimeError with the text of a refusal."""
    result = await session.call_tool(name, arguments)
    if result.is_error:
        raise RuntimeError(result.content[0].text)
    return result


async def read(session, name, **arguments):
    return json.loads((await call(session, name, **arguments)).content[0].text)


async def finish(session, job_id):
    while (job := await read(session, "status", job_id=job_id))["status"] == "processing":
        await asyncio.sleep(0.2)
    return job


async def use_tools(session, folder):
    tools = (await session.list_tools()).tools
    found = {"tools": sorted(tool.name for tool in tools)}
    found["schema"] = next(tool.input_schema for tool in tools if tool.name == "generate")["properties"]
    picture, mesh, motion = (str(folder / name) for name in ("knight.png", "robot.glb", "walk.bvh"))
    started = {
        "generate": await read(session, "generate", picture=picture, character_format="vrm", seed=3),
        "rig": await read(session, "rig", mesh=mesh, animation="walk"),
    }
    for name, job in started.items():
        found[name] = await finish(session, job["job_id"])
    animated = await read(session, "animate", mesh=mesh, motion=motion)
    found["animate"] = await finish(session, animated["job_id"])
    saved = await call(session, "download", job_id=found["generate"]["job_id"], folder=str(folder / "files"))
    found["files"] = [block.text for block in saved.content]
    found["check"] = [block.type for block in (await call(session, "check", file=picture)).content]
    found["check_mesh"] = await read(session, "check", file=mesh)
    try:
        await call(session, "status", job_id="nobody")
    except RuntimeError as error:
        found["refused"] = str(error)
    return found


async def main(command, url, folder):
    server = StdioServerParameters(command=command, args=["mcp", "--server", url])
    async with stdio_client(server) as streams, ClientSession(*streams) as session:
        await session.initialize()
        sys.stdout.write(json.dumps(await use_tools(session, Path(folder))))


asyncio.run(main(*sys.argv[1:]))
