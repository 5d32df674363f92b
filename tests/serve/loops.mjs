// A tool loop of ten calls with one SDK: loops.mjs NAME URL. Prints the length of the last prompt
// with its reply, as the server counts it.
import assert from "node:assert";

const [name, url] = process.argv.slice(2);
const kCalls = 10;
const kTask = "Turn left or right, ten times.";
const schema = {
  type: "object",
  properties: { way: { type: "string", enum: ["left", "right"] } },
  required: ["way"],
  additionalProperties: false,
};
const result = (args, i) => {
  assert(["left", "right"].includes(args.way), JSON.stringify(args));
  return `${i}: you went ${args.way}`;
};

async function openaiChat() {
  const { default: OpenAI } = await import("openai");
  const client = new OpenAI({ baseURL: url + "/v1", apiKey: "none" });
  const messages = [{ role: "user", content: kTask }];
  const tools = [{ type: "function", function: { name: "turn", parameters: schema } }];
  let usage;
  for (let i = 0; i < kCalls; ++i) {
    const stream = client.chat.completions.stream({
      model: "corvid", messages, tools, tool_choice: "required",
      stream_options: { include_usage: true },
    });
    const completion = await stream.finalChatCompletion();
    const { message, finish_reason } = completion.choices[0];
    assert.equal(finish_reason, "tool_calls");
    usage = completion.usage;
    messages.push(message);
    for (const call of message.tool_calls) {
      const content = result(JSON.parse(call.function.arguments), i);
      messages.push({ role: "tool", tool_call_id: call.id, content });
    }
  }
  return usage.total_tokens;
}

async function openaiResponses() {
  const { default: OpenAI } = await import("openai");
  const client = new OpenAI({ baseURL: url + "/v1", apiKey: "none" });
  const input = [{ role: "user", content: kTask }];
  const tools = [{ type: "function", name: "turn", parameters: schema, strict: true }];
  let usage;
  for (let i = 0; i < kCalls; ++i) {
    const stream = client.responses.stream({
      model: "corvid", input, tools, tool_choice: "required", store: false,
      include: ["reasoning.encrypted_content"],
    });
    const response = await stream.finalResponse();
    assert.equal(response.status, "completed");
    usage = response.usage;
    input.push(...response.output);
    const calls = response.output.filter((item) => item.type === "function_call");
    assert(calls.length > 0);
    for (const call of calls) {
      const output = result(JSON.parse(call.arguments), i);
      input.push({ type: "function_call_output", call_id: call.call_id, output });
    }
  }
  return usage.total_tokens;
}

async function anthropic() {
  const { default: Anthropic } = await import("@anthropic-ai/sdk");
  const client = new Anthropic({ baseURL: url, apiKey: "none" });
  const messages = [{ role: "user", content: kTask }];
  const tools = [{ name: "turn", input_schema: schema }];
  const thinking = { type: "enabled", budget_tokens: 1024 };
  let usage;
  for (let i = 0; i < kCalls; ++i) {
    const request = {
      model: "corvid", max_tokens: 2000, messages, tools, thinking, tool_choice: { type: "any" },
    };
    const { input_tokens } = await client.messages.countTokens({ ...request, max_tokens: undefined });
    const message = await client.messages.stream(request).finalMessage();
    assert.equal(message.stop_reason, "tool_use");
    usage = message.usage;
    assert(input_tokens > 0);
    messages.push({ role: "assistant", content: message.content });
    const calls = message.content.filter((block) => block.type === "tool_use");
    messages.push({
      role: "user",
      content: calls.map((call) => (
        { type: "tool_result", tool_use_id: call.id, content: result(call.input, i) })),
    });
  }
  return usage.input_tokens + usage.cache_read_input_tokens + usage.output_tokens;
}

async function ai(model, providerOptions) {
  const { streamText, tool, jsonSchema, stepCountIs } = await import("ai");
  let i = 0, usage;
  const turn = tool({
    description: "turn", inputSchema: jsonSchema(schema), execute: (args) => result(args, i++),
  });
  const { steps } = await drain(streamText({
    model, prompt: kTask, tools: { turn }, toolChoice: "required", stopWhen: stepCountIs(kCalls),
    maxRetries: 0, providerOptions,
  }));
  assert.equal(steps.length, kCalls);
  usage = steps.at(-1).usage;
  return usage.inputTokens + usage.outputTokens;
}

async function drain(stream) {
  for await (const part of stream.fullStream) {
    if (part.type === "error") throw part.error;
    if (part.type === "tool-error") throw part.error;
  }
  return { steps: await stream.steps };
}

const settings = { baseURL: url + "/v1", apiKey: "none" };
const loops = {
  "openai-chat": openaiChat,
  "openai-responses": openaiResponses,
  anthropic,
  "ai-compatible": async () => {
    const { createOpenAICompatible } = await import("@ai-sdk/openai-compatible");
    return ai(createOpenAICompatible({ ...settings, name: "corvid", includeUsage: true })("corvid"));
  },
  "ai-openai": async () => {
    const { createOpenAI } = await import("@ai-sdk/openai");
    return ai(createOpenAI(settings).responses("corvid"), { openai: { store: false } });
  },
  "ai-anthropic": async () => {
    const { createAnthropic } = await import("@ai-sdk/anthropic");
    return ai(createAnthropic(settings)("corvid"));
  },
};
console.log(await loops[name]());
